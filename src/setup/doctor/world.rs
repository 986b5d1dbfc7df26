//! A bucket and all that is around it, made up: as it must be, until a test changes it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;

use crate::bucket::Versioning;
use crate::bucket::details::Enrich;
use crate::bucket::rules::{Destination, Filter, Rule, Rules};
use crate::fault::{Fault, Kind};
use crate::setup::checks::{MESSAGE_BYTES, Wish};
use crate::setup::estate::{
    BridgeRule, BucketLook, Estate, Identity, Key, Lifecycle, Looked, QueueLook, Redrive, Replication,
    Sample, Side, TakenOn, Takes, Topic, Versions,
};

pub(super) const NOW: OffsetDateTime = datetime!(2026-11-01 12:00 UTC);
pub(super) const URL: &str = "https://sqs.eu-central-1.amazonaws.com/123456789012/stocktake";
pub(super) const QUEUE: &str = "arn:aws:sqs:eu-central-1:123456789012:stocktake";
pub(super) const DEAD: &str = "arn:aws:sqs:eu-central-1:123456789012:stocktake-dead";
pub(super) const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:genomics";
pub(super) const KEY: &str = "arn:aws:kms:eu-central-1:123456789012:key/k";

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) wish: Wish,
    pub(super) identity: Identity,
    pub(super) taken_on: Option<TakenOn>,
    pub(super) owner: String,
    pub(super) region: String,
    pub(super) versions: Versions,
    pub(super) rules: Rules,
    pub(super) kms_key: Option<String>,
    pub(super) lifecycle: Vec<Lifecycle>,
    pub(super) replication: Vec<Replication>,
    /// Whether the version that is looked at is one.
    pub(super) is_replica: bool,
    /// What keys begin with instead of our prefix; none where some begin with that.
    pub(super) neighbours: Option<Vec<String>>,
    pub(super) object_lock: bool,
    pub(super) requester_pays: bool,
    pub(super) queue: QueueLook,
    pub(super) dead: Option<QueueLook>,
    pub(super) sample: Option<Sample>,
    pub(super) topics: BTreeMap<String, Topic>,
    pub(super) bridge: Vec<BridgeRule>,
    pub(super) key_policy: String,
    pub(super) key_is_enabled: bool,
    /// What is refused, by the name of the permission, and in which way.
    pub(super) refused: BTreeMap<&'static str, Kind>,
}

pub(super) fn rule(events: &[&str], filters: &[(&str, &str)], destination: Destination) -> Rule {
    let filter = |&(name, value): &(&str, &str)| Filter { name: name.to_owned(), value: value.to_owned() };
    Rule {
        id: "theirs".to_owned(),
        destination,
        events: events.iter().map(|&event| event.to_owned()).collect(),
        filters: filters.iter().map(filter).collect(),
    }
}

pub(super) const ALL: [&str; 3] = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"];

/// A policy of one statement that lets a service do something on behalf of something.
pub(super) fn lets(service: &str, action: &Value, resource: &str, source: &str) -> String {
    let condition = json!({ "ArnLike": { "aws:SourceArn": source } });
    json!({ "Version": "2012-10-17", "Statement": [{
        "Sid": "s", "Effect": "Allow", "Principal": { "Service": service }, "Action": action, "Resource": resource,
        "Condition": condition,
    }] })
    .to_string()
}

impl World {
    pub(super) fn well() -> Self {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        let queue = QueueLook {
            arn: QUEUE.to_owned(),
            policy: Some(lets("s3.amazonaws.com", &json!("sqs:SendMessage"), QUEUE, "arn:aws:s3:::genomics")),
            kms_key: None,
            retention: days(14),
            visibility: Duration::from_secs(30),
            wait: Duration::from_secs(20),
            delay: Duration::ZERO,
            message_bytes_max: MESSAGE_BYTES,
            redrive: Some(Redrive { to: DEAD.to_owned(), receives_max: 1_000 }),
            takes: Takes::All,
            waiting: 0,
            in_hand: 0,
            is_fifo: false,
        };
        Self {
            wish: Wish {
                name: "genomics".to_owned(),
                prefix: "a/".to_owned(),
                region: Some("eu-central-1".to_owned()),
                queues: vec![URL.to_owned()],
                role: None,
                enrich: Enrich::default(),
            },
            identity: Identity {
                arn: "arn:aws:iam::123456789012:user/daemon".to_owned(),
                account: "123456789012".to_owned(),
                expires: None,
            },
            taken_on: None,
            owner: "123456789012".to_owned(),
            region: "eu-central-1".to_owned(),
            versions: Versions { state: Versioning::Enabled, mfa_delete: false, at: NOW },
            rules: Rules {
                rules: vec![rule(&ALL, &[], Destination::Queue(QUEUE.to_owned()))],
                event_bridge: false,
            },
            kms_key: None,
            lifecycle: Vec::new(),
            replication: Vec::new(),
            is_replica: false,
            neighbours: None,
            object_lock: false,
            requester_pays: false,
            dead: Some(QueueLook { arn: DEAD.to_owned(), redrive: None, ..queue.clone() }),
            queue,
            sample: None,
            topics: BTreeMap::new(),
            bridge: Vec::new(),
            key_policy: lets(
                "s3.amazonaws.com",
                &json!(["kms:GenerateDataKey*", "kms:Decrypt"]),
                "*",
                "arn:aws:s3:::genomics",
            ),
            key_is_enabled: true,
            refused: BTreeMap::new(),
        }
    }

    /// What is there, unless it is refused.
    fn told<T: Clone>(&self, permission: &'static str, what: &T) -> Looked<T> {
        match self.refused.get(permission) {
            None => Ok(what.clone()),
            Some(kind) => Err(Fault {
                action: format!("do {permission}"),
                kind: *kind,
                answer: "AccessDenied: no".to_owned(),
                remedy: format!("allow {permission}"),
                source: None,
            }),
        }
    }
}

impl Estate for World {
    async fn identity(&self, _side: Side<'_>) -> Looked<Identity> {
        self.told("sts:GetCallerIdentity", &self.identity)
    }

    async fn taken_on(&self, side: Side<'_>) -> Looked<Option<TakenOn>> {
        Ok(if side == Side::Bucket { self.taken_on.clone() } else { None })
    }

    async fn region(&self) -> Looked<String> {
        self.told("s3:GetBucketLocation", &self.region)
    }

    async fn bucket(&self, _prefix: &str, enrich: Enrich) -> BucketLook {
        BucketLook {
            details: enrich.is_on().then(|| self.told("s3:GetObjectVersion", &self.is_replica)),
            versions: self.told("s3:GetBucketVersioning", &self.versions),
            listing: self.told("s3:ListBucketVersions", &()),
            neighbours: self.neighbours.clone().map(Ok),
            one_key: self.told("s3:ListBucketVersions of one key", &()),
            rules: self.told("s3:GetBucketNotification", &self.rules),
            kms_key: self.told("s3:GetEncryptionConfiguration", &self.kms_key),
            lifecycle: self.told("s3:GetLifecycleConfiguration", &self.lifecycle),
            replication: self.told("s3:GetReplicationConfiguration", &self.replication),
            object_lock: self.told("s3:GetBucketObjectLockConfiguration", &self.object_lock),
            requester_pays: self.told("s3:GetBucketRequestPayment", &self.requester_pays),
        }
    }

    async fn is_owned_by(&self, account: &str) -> Looked<bool> {
        Ok(self.owner == account)
    }

    async fn queue(&self, url: &str) -> Looked<QueueLook> {
        assert_eq!(url, URL);
        self.told("sqs:GetQueueAttributes", &self.queue)
    }

    async fn queue_beside(&self, _url: &str, arn: &str) -> Looked<QueueLook> {
        assert_eq!(arn, DEAD);
        let absent = || Fault {
            action: "ask".to_owned(),
            kind: Kind::Absent,
            answer: "NonExistentQueue".to_owned(),
            remedy: "check".to_owned(),
            source: None,
        };
        self.dead.clone().ok_or_else(absent)
    }

    async fn sample(&self, _url: &str) -> Looked<Option<Sample>> {
        assert!(
            self.queue.redrive.as_ref().is_none_or(|redrive| redrive.receives_max >= 10),
            "a receive too many"
        );
        self.told("sqs:ReceiveMessage", &self.sample)
    }

    async fn may_delete(&self, _url: &str) -> Looked<()> {
        self.told("sqs:DeleteMessage", &())
    }

    async fn may_give_back(&self, _url: &str) -> Looked<()> {
        self.told("sqs:ChangeMessageVisibility", &())
    }

    async fn topic(&self, arn: &str) -> Looked<Topic> {
        self.told("sns:GetTopicAttributes", &self.topics[arn])
    }

    async fn bridge(&self, queue: &str) -> Looked<Vec<BridgeRule>> {
        assert_eq!(queue, QUEUE);
        self.told("events:ListRuleNamesByTarget", &self.bridge)
    }

    async fn key(&self, _side: Side<'_>, id: &str) -> Looked<Key> {
        self.told("kms:DescribeKey", &())?;
        Ok(Key {
            arn: id.to_owned(),
            is_enabled: self.key_is_enabled,
            is_aws: false,
            policy: self.told("kms:GetKeyPolicy", &self.key_policy),
        })
    }
}
