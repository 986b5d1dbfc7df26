//! A set-up that is as it must be, and what AWS would say of others.

use aws_sdk_s3::types::BucketVersioningStatus::Enabled;
use serde_json::{Value, json};

use crate::support::{Config, Front, LIST, Play, Rule, Stage, Told};

pub(super) const IDENTITY: &str = "GetCallerIdentity";
pub(super) const ROLE: &str = "AssumeRole";
pub(super) const HEAD: &str = "HeadBucket";
pub(super) const VERSIONING: &str = "GetBucketVersioning";
pub(super) const RULES: &str = "GetBucketNotificationConfiguration";
pub(super) const QUEUE: &str = "GetQueueAttributes";
pub(super) const KEY: &str = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
pub(super) const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:genomics";
pub(super) const ALL: [&str; 3] = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"];

/// A bucket with a queue as `connect` makes it, an object, and a message that waits.
pub(super) struct Place {
    pub(super) stage: Stage,
    pub(super) bucket: String,
    pub(super) config: Config,
    /// That of the queue.
    pub(super) arn: String,
}

impl Place {
    pub(super) async fn new() -> Self {
        let stage = Stage::new().await;
        let bucket = stage.name("broken");
        stage.silent_bucket(&bucket, Some(Enabled)).await;
        let new = Config { queues: Vec::new(), ..stage.config() };
        let words = ["connect", "--apply", "--bucket", &bucket, "--prefix", "a/", "--region", "Germany"];
        let told = stage.run(&new, &words).await;
        assert_eq!(told.code, Some(0), "{told:?}");
        stage.put(&bucket, "a/key", "body").await;
        let queue = stage.queue.url.replace("/events", "/stocktake");
        let arn = stage.queue.arn.replace(":events", ":stocktake");
        let config = Config { queues: vec![queue], ..stage.config() };
        Self { stage, bucket, config, arn }
    }

    /// The same through a front, with further keys for the bucket.
    pub(super) fn config(&self, endpoint: &str, keys: &str) -> Config {
        let config = Config { endpoint: endpoint.to_owned(), ..self.config.clone() };
        config.place_with(&format!("{}/a/", self.bucket), keys)
    }

    /// What the doctor of a set-up says.
    pub(super) async fn doctor(&self, plays: Vec<Rule>, keys: &str) -> Told {
        let front = Front::of(&self.stage.endpoint).await;
        // The emulator takes that for a listing.
        let paid = "<RequestPaymentConfiguration><Payer>BucketOwner</Payer></RequestPaymentConfiguration>";
        let paid = Rule::of("GetBucketRequestPayment", Play::Answer(200, paid.to_owned()));
        front.play(plays.into_iter().chain([paid]));
        self.stage.run(&self.config(&front.url, keys), &["doctor", "--format", "json"]).await
    }

    /// A notification configuration of these entries.
    pub(super) fn rules(&self, entries: &str) -> (&'static str, Play) {
        let entries = entries.replace("QUEUE", &format!("<Queue>{}</Queue>", self.arn));
        (
            RULES,
            Play::Answer(200, format!("<NotificationConfiguration>{entries}</NotificationConfiguration>")),
        )
    }

    /// A policy of one statement that lets S3 send on behalf of our bucket, with the parts of `more` laid over it.
    pub(super) fn policy(&self, more: &Value) -> (&'static str, Play) {
        let mut statement = json!({
            "Sid": "s", "Effect": "Allow", "Principal": { "Service": "s3.amazonaws.com" }, "Action": "sqs:SendMessage",
            "Resource": self.arn, "Condition": { "ArnLike": { "aws:SourceArn": format!("arn:aws:s3:::{}", self.bucket) } },
        });
        for (key, value) in more.as_object().unwrap() {
            statement[key] = value.clone();
        }
        (QUEUE, Play::Attribute("Policy", json!({ "Statement": [statement] }).to_string()))
    }

    /// A topic between bucket and queue, with this subscription of ours.
    pub(super) fn topic(&self, subscription: &str, filter: &str) -> Vec<(&'static str, Play)> {
        let lets = json!({ "Statement": [{
            "Effect": "Allow", "Principal": { "Service": "s3.amazonaws.com" }, "Action": "sns:Publish", "Resource": TOPIC,
            "Condition": { "ArnLike": { "aws:SourceArn": format!("arn:aws:s3:::{}", self.bucket) } },
        }] });
        let ours = format!(
            "<member><SubscriptionArn>{subscription}</SubscriptionArn><Protocol>sqs</Protocol><Endpoint>{}</Endpoint></member>",
            self.arn
        );
        let ours = if subscription.is_empty() { String::new() } else { ours };
        vec![
            self.rules(&tells(&format!("<Topic>{TOPIC}</Topic>"), "TopicConfiguration", &ALL, "")),
            query("GetTopicAttributes", &format!("<Attributes>{}</Attributes>", entry("Policy", &lets.to_string()))),
            query("ListSubscriptionsByTopic", &format!("<Subscriptions>{ours}</Subscriptions>")),
            query("GetSubscriptionAttributes", &format!("<Attributes>{}</Attributes>", entry("FilterPolicy", filter))),
            self.policy(&json!({
                "Principal": { "Service": "sns.amazonaws.com" }, "Condition": { "ArnLike": { "aws:SourceArn": TOPIC } },
            })),
        ]
    }

    /// EventBridge between bucket and queue, with a rule that lets this through.
    pub(super) fn bridge(
        &self,
        is_told: bool,
        state: &str,
        pattern: &Value,
        target: &Value,
    ) -> Vec<(&'static str, Play)> {
        let rule = "arn:aws:events:eu-central-1:123456789012:rule/r";
        let mut ours = json!({ "Id": "1", "Arn": self.arn });
        for (key, value) in target.as_object().unwrap() {
            ours[key] = value.clone();
        }
        vec![
            self.rules(if is_told { "<EventBridgeConfiguration/>" } else { "" }),
            ("ListRuleNamesByTarget", Play::Answer(200, json!({ "RuleNames": ["r"] }).to_string())),
            (
                "DescribeRule",
                Play::Answer(200, json!({ "Arn": rule, "State": state, "EventPattern": pattern.to_string() }).to_string()),
            ),
            ("ListTargetsByRule", Play::Answer(200, json!({ "Targets": [ours] }).to_string())),
            self.policy(&json!({
                "Principal": { "Service": "events.amazonaws.com" }, "Condition": { "ArnLike": { "aws:SourceArn": rule } },
            })),
        ]
    }

    /// A key of our own that the queue is encrypted with.
    pub(super) fn key(&self, state: &str, actions: &Value) -> Vec<(&'static str, Play)> {
        let policy = json!({ "Statement": [{
            "Effect": "Allow", "Principal": { "Service": "s3.amazonaws.com" }, "Action": actions, "Resource": "*",
        }] });
        let metadata = json!({ "KeyId": "k", "Arn": KEY, "KeyState": state, "KeyManager": "CUSTOMER" });
        vec![
            (QUEUE, Play::Attribute("KmsMasterKeyId", KEY.to_owned())),
            ("DescribeKey", Play::Answer(200, json!({ "KeyMetadata": metadata }).to_string())),
            ("GetKeyPolicy", Play::Answer(200, json!({ "Policy": policy.to_string() }).to_string())),
        ]
    }
}

/// An entry of a notification configuration.
pub(super) fn tells(destination: &str, kind: &str, events: &[&str], filters: &str) -> String {
    let events: String = events.iter().map(|event| format!("<Event>{event}</Event>")).collect();
    let filter = format!("<Filter><S3Key>{filters}</S3Key></Filter>");
    format!("<{kind}><Id>one</Id>{destination}{events}{filter}</{kind}>")
}

pub(super) fn tells_us(events: &[&str], filters: &str) -> String {
    tells("QUEUE", "QueueConfiguration", events, filters)
}

pub(super) fn filter(name: &str, value: &str) -> String {
    format!("<FilterRule><Name>{name}</Name><Value>{value}</Value></FilterRule>")
}

/// An answer of SNS or STS.
pub(super) fn query(operation: &'static str, result: &str) -> (&'static str, Play) {
    let body =
        format!("<{operation}Response><{operation}Result>{result}</{operation}Result></{operation}Response>");
    (operation, Play::Answer(200, body))
}

pub(super) fn entry(key: &str, value: &str) -> String {
    format!("<entry><key>{key}</key><value>{value}</value></entry>")
}

pub(super) fn attribute(name: &'static str, value: &str) -> (&'static str, Play) {
    (QUEUE, Play::Attribute(name, value.to_owned()))
}

pub(super) fn of_dead_letters(name: &'static str, value: &str) -> Vec<Rule> {
    vec![Rule::of(QUEUE, Play::Attribute(name, value.to_owned())).after(1)]
}

/// What S3 answers to any request that it redirects.
pub(super) fn elsewhere(status: u16, code: &str) -> [(&'static str, Play); 3] {
    let headers = "x-amz-bucket-region: eu-west-2\r\n";
    let error = || format!("<Error><Code>{code}</Code><Message>elsewhere</Message></Error>");
    [
        (HEAD, Play::AnswerWith(status, headers, String::new())),
        (VERSIONING, Play::AnswerWith(status, headers, error())),
        (LIST, Play::AnswerWith(status, headers, error())),
    ]
}
