//! The least that must be allowed, and to whom: as policy documents
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html>).

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Arn;
use super::plan::DEAD;
use crate::aws::domain;

/// A policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Document {
    version: &'static str,
    statement: Vec<Statement>,
}

impl Document {
    /// A policy of these statements.
    pub fn of(statement: Vec<Statement>) -> Self {
        Self { version: "2012-10-17", statement }
    }

    /// Its text, for people and for AWS.
    pub fn pretty(&self) -> String {
        // Texts, lists and tables of texts can always be written.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// One thing that a policy allows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    /// Its name, unique in a policy.
    pub sid: String,
    effect: &'static str,
    /// Who; policies of users and roles leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<Value>,
    action: Vec<String>,
    /// To what; a role's trust leaves it out, as the role itself is it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resource: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Value>,
}

/// A bucket's part and what is used of it: what decides which permissions are needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// The bucket's name.
    pub bucket: String,
    /// What keys begin with, one of these; an empty one is for all.
    pub prefixes: Vec<String>,
    /// The partition its ARN is in.
    pub partition: String,
    /// The region it is in, where that is known.
    pub region: Option<String>,
    /// The key its objects are encrypted with, if somebody's own.
    pub kms_key: Option<String>,
    /// Whether heads of objects are asked for.
    pub heads: bool,
    /// Whether tags of objects are asked for.
    pub tags: bool,
    /// Whether set-up is looked after while serving.
    pub doctor: bool,
}

/// What may be done in the bucket. Listing is allowed below the prefix only, and nothing reads what
/// objects hold unless their heads are asked for, which AWS counts as the same.
pub fn bucket(used: &Use) -> Vec<Statement> {
    let arn = format!("arn:{}:s3:::{}", used.partition, used.bucket);
    let starts: Vec<String> = used.prefixes.iter().map(|prefix| format!("{}*", literal(prefix))).collect();
    let is_whole = used.prefixes.iter().any(String::is_empty);
    let below = (!is_whole).then(|| json!({ "StringLike": { "s3:prefix": starts } }));
    let mut statements = vec![
        allow("List", &["s3:ListBucketVersions"], &arn).when(below.clone()),
        allow("State", &["s3:GetBucketLocation", "s3:GetBucketNotification", "s3:GetBucketVersioning"], &arn),
    ];
    let objects: Vec<String> = starts.iter().map(|start| format!("{arn}/{start}")).collect();
    if used.heads {
        // Without ListBucket, a key that is not there looks forbidden
        // (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html>).
        statements.push(allow("Absence", &["s3:ListBucket"], &arn).when(below));
        statements.push(allow("Heads", &["s3:GetObject", "s3:GetObjectVersion"], &arn).on(&objects));
    }
    if used.tags {
        let actions = ["s3:GetObjectTagging", "s3:GetObjectVersionTagging"];
        statements.push(allow("Tags", &actions, &arn).on(&objects));
    }
    if let (Some(key), true) = (&used.kms_key, used.heads) {
        let via = used.region.as_ref().map(|region| {
            json!({ "StringEquals": { "kms:ViaService": format!("s3.{region}.{}", domain(&used.partition)) } })
        });
        statements.push(allow("Objects", &["kms:Decrypt"], key).when(via));
    }
    if used.doctor {
        statements.push(allow(
            "LookAtBucket",
            &[
                "s3:GetBucketObjectLockConfiguration",
                "s3:GetBucketRequestPayment",
                "s3:GetEncryptionConfiguration",
                "s3:GetLifecycleConfiguration",
                "s3:GetReplicationConfiguration",
            ],
            &arn,
        ));
    }
    statements
}

/// What it takes to read inventory reports in a folder of a bucket.
pub fn reports(bucket_arn: &str, folder: &str) -> Vec<Statement> {
    let below = format!("{}*", literal(folder));
    let condition = json!({ "StringLike": { "s3:prefix": [below] } });
    vec![
        allow("ListReports", &["s3:ListBucket"], bucket_arn).when(Some(condition)),
        allow("ReadReports", &["s3:GetObject"], &format!("{bucket_arn}/{below}")),
    ]
}

/// What may be done with a queue.
pub fn queue(arn: &str, kms_key: Option<&str>) -> Vec<Statement> {
    let actions =
        ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"];
    let mut statements = vec![allow("Receive", &actions, arn)];
    statements.extend(kms_key.map(|key| allow("Messages", &["kms:Decrypt"], key)));
    statements
}

/// What may be looked at between bucket and queue, by whoever asks for the bucket. Where hops lie is not known
/// beforehand, and none of this tells anything about anybody's data.
pub fn hops(arn: &Arn) -> Vec<Statement> {
    let topics = ["sns:GetSubscriptionAttributes", "sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic"];
    let rules = ["events:DescribeRule", "events:ListRuleNamesByTarget", "events:ListTargetsByRule"];
    vec![
        allow("LookAtTopics", &topics, &beside(arn, "sns", "*")),
        allow("LookAtEventBridge", &rules, &beside(arn, "events", "rule/*")),
    ]
}

/// Leave to look at the keys of topics, by whoever asks for the bucket, and of queues, by whoever asks for them.
pub fn keys(arn: &Arn) -> Statement {
    allow("LookAtKeys", &["kms:DescribeKey", "kms:GetKeyPolicy"], &beside(arn, "kms", "key/*"))
}

/// Leave to look at the dead-letter queues of queues, as `connect` calls those that it makes.
pub fn dead_letters(arn: &Arn) -> Statement {
    allow("LookAtDeadLetters", &["sqs:GetQueueAttributes"], &beside(arn, "sqs", &format!("*{DEAD}")))
}

/// Something in the account and region of something else.
fn beside(arn: &Arn, service: &str, resource: &str) -> String {
    Arn { service: service.to_owned(), resource: resource.to_owned(), ..arn.clone() }.to_string()
}

/// Leave to take on a role, for whoever the daemon is without one.
pub fn take_on(role: &str) -> Statement {
    allow("TakeOnRole", &["sts:AssumeRole"], role)
}

/// Who may take on the role that reads: `principal`, if it says the external id where there is one
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html>).
pub fn trust(principal: &str, external_id: Option<&str>) -> Statement {
    let condition = external_id.map(|id| json!({ "StringEquals": { "sts:ExternalId": id } }));
    let statement = allow("Stocktake", &["sts:AssumeRole"], "").on(&[]);
    statement.by(json!({ "AWS": principal })).when(condition)
}

/// Leave for S3 to send to a queue what happens in a bucket of this account, and in no other
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html>).
pub fn send(queue_arn: &str, bucket_arn: &str, account: &str) -> Statement {
    let name = bucket_arn.rsplit(':').next().unwrap_or_default();
    let statement = allow(&sid(name), &["sqs:SendMessage"], queue_arn);
    statement.by(json!({ "Service": "s3.amazonaws.com" })).when(Some(from_bucket(bucket_arn, account)))
}

/// What a queue's key must let S3 do, so that what it sends can be encrypted
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html>).
pub fn encrypt(bucket_arn: &str, account: &str) -> Statement {
    let name = bucket_arn.rsplit(':').next().unwrap_or_default();
    let statement = allow(&sid(name), &["kms:GenerateDataKey*", "kms:Decrypt"], "*");
    statement.by(json!({ "Service": "s3.amazonaws.com" })).when(Some(from_bucket(bucket_arn, account)))
}

/// What a key must let us do: read what was encrypted with it.
pub fn decrypt(principal: &str) -> Statement {
    allow("StocktakeReads", &["kms:Decrypt"], "*").by(json!({ "AWS": principal }))
}

/// The same statements as a bucket's own policy, for a daemon of another account without a role there.
pub fn let_in(principal: &str, statements: Vec<Statement>) -> Vec<Statement> {
    statements.into_iter().map(|statement| statement.by(json!({ "AWS": principal }))).collect()
}

fn from_bucket(bucket_arn: &str, account: &str) -> Value {
    json!({ "ArnLike": { "aws:SourceArn": bucket_arn }, "StringEquals": { "aws:SourceAccount": account } })
}

/// The name of a statement about a bucket. Names of statements have letters and digits only.
pub(super) fn sid(bucket: &str) -> String {
    let hex =
        |c: char| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("{:02X}", u32::from(c)) };
    format!("Stocktake{}", bucket.chars().map(hex).collect::<String>())
}

fn allow(sid: &str, actions: &[&str], resource: &str) -> Statement {
    Statement {
        sid: sid.to_owned(),
        effect: "Allow",
        principal: None,
        action: actions.iter().map(|&action| action.to_owned()).collect(),
        resource: vec![resource.to_owned()],
        condition: None,
    }
}

impl Statement {
    fn when(self, condition: Option<Value>) -> Self {
        Self { condition, ..self }
    }

    fn on(self, resources: &[String]) -> Self {
        Self { resource: resources.to_vec(), ..self }
    }

    fn by(self, principal: Value) -> Self {
        Self { principal: Some(principal), ..self }
    }

    /// The same as the `index`th of its kind in one policy, where names may not be the same.
    #[must_use]
    pub fn numbered(self, index: usize) -> Self {
        let number = if index == 0 { String::new() } else { (index + 1).to_string() };
        Self { sid: self.sid + &number, ..self }
    }

    /// Whether it is about something, or what is in it.
    pub fn is_on(&self, arn: &str) -> bool {
        let is_in = |resource: &String| {
            resource.strip_prefix(arn).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.resource.iter().all(is_in)
    }

    /// As it stands in a policy that is text already.
    pub fn value(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Object(Map::new()))
    }
}

/// What would be a wildcard or a variable, taken literally
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html>).
fn literal(text: &str) -> String {
    let escape = |c: char| if matches!(c, '*' | '?' | '$') { format!("${{{c}}}") } else { c.to_string() };
    text.chars().map(escape).collect()
}
