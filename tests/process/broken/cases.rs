//! Broken set-ups, and what is to be said of each.

use serde_json::{Value, json};

use super::place::{
    ALL, HEAD, IDENTITY, Place, QUEUE, ROLE, RULES, VERSIONING, attribute, elsewhere, entry, filter,
    of_dead_letters, query, tells, tells_us,
};
use super::{Broken, broken, failing, played, warned};
use crate::support::{LIST, Play, RECEIVE, Rule, query_error, s3_error, s3_error_with, sqs_error};

pub(super) fn credentials(place: &Place) -> Vec<Broken> {
    let takes_role = format!(
        "role_arn = \"arn:aws:iam::{}:role/reader\"\nexternal_id = \"7\"\nsession_duration = \"12h\"",
        place.stage.account
    );
    let refused = |message: &str| [(ROLE, query_error(403, "AccessDenied", message))];
    let expired = "The security token included in the request is expired";
    let invalid = "The security token included in the request is invalid.";
    let in_a_role =
        "<Arn>arn:aws:sts::123456789012:assumed-role/instance/i-1</Arn><Account>123456789012</Account>";
    let chained =
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
    let too_long = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
    let one = |broken: Broken| broken.and("everything else", "could not tell");
    vec![
        one(failing("credentials", &["ExpiredToken", "renew the session"], [(IDENTITY, query_error(403, "ExpiredToken", expired))])),
        one(failing(
            "credentials",
            &["InvalidClientTokenId", "access key exists", "turn on first"],
            [(IDENTITY, query_error(403, "InvalidClientTokenId", invalid))],
        )),
        one(failing(
            "credentials",
            &["sts:AssumeRole", "external_id", "stocktake policy"],
            refused("User: arn:aws:iam::123456789012:user/u is not authorized to perform: sts:AssumeRole on resource: r"),
        ))
        .with(&takes_role),
        one(failing(
            "credentials",
            &["MaxSessionDuration", "lower session_duration"],
            [(ROLE, query_error(400, "ValidationError", too_long))],
        ))
        .with(&takes_role),
        one(failing(
            "role chaining",
            &["assumed-role/instance", "12h", "set session_duration to \"1h\""],
            [query(IDENTITY, in_a_role), (ROLE, query_error(400, "ValidationError", chained))],
        ))
        .with(&takes_role),
    ]
}

pub(super) fn buckets() -> Vec<Broken> {
    let denied = |message: &str| s3_error_with(403, "AccessDenied", message);
    let one = |broken: Broken| broken.and("everything else", "could not tell");
    let lists =
        |words: &[&str], play| failing("listing", words, [(LIST, play)]).and("listing of one key", "failure");
    vec![
        one(failing("bucket", &["exists in this account and region", "stocktake disconnect --bucket"], [(HEAD, s3_error(404, "NoSuchBucket"))])),
        failing("bucket", &["is in eu-west-2", "wants it in eu-central-1"], elsewhere(200, "").into_iter().take(1))
            .with("project_region = \"Germany\""),
        one(failing("bucket", &["PermanentRedirect", "to \"eu-west-2\""], elsewhere(301, "PermanentRedirect"))),
        one(failing("bucket", &["IllegalLocation", "eu-west-2"], elsewhere(400, "IllegalLocationConstraintException"))),
        one(failing(
            "bucket",
            &["HTTP status 200 with a web page", "a portal where one logs in"],
            [VERSIONING, LIST].map(|operation| (operation, Play::Answer(200, "<!DOCTYPE html>".to_owned()))),
        )),
        failing("versioning", &["s3:GetBucketVersioning"], [(VERSIONING, denied("Access Denied"))])
            .and("owner", "could not tell"),
        lists(&["AccessDenied", "allow s3:ListBucketVersions"], denied("Access Denied")),
        lists(
            &["ask whoever runs the AWS organisation"],
            denied("User: u is not authorized to perform: s3:ListBucketVersions with an explicit deny in a service control policy"),
        ),
        lists(
            &["change the policy of the VPC endpoint"],
            denied("User: u is not authorized to perform: s3:ListBucketVersions with an explicit deny in a VPC endpoint policy"),
        ),
        broken(
            &[("notifications", "could not tell")],
            &["allow s3:GetBucketNotification"],
            vec![Rule::of(RULES, denied("Access Denied"))],
        ),
        failing(
            "requester pays",
            &["other accounts"],
            [(
                "GetBucketRequestPayment",
                Play::Answer(200, "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>".to_owned()),
            )],
        )
        .of_another(),
        failing("details", &["s3:GetObjectVersion", "kms:Decrypt"], [("HeadObject", Play::Answer(403, String::new()))])
            .with("enrich = [\"head\"]"),
        // S3 gives no words with the head of an object, also where it is the key that is wrong.
        failing("details", &["HTTP status 400", "exists and is enabled"], [("HeadObject", Play::Answer(400, String::new()))])
            .with("enrich = [\"head\"]"),
        failing(
            "clock",
            &["set this machine's clock"],
            [(VERSIONING, Play::AnswerWith(200, "date: Thu, 01 Jan 2026 00:00:00 GMT\r\n", "<VersioningConfiguration/>".to_owned()))],
        ),
        warned(
            "lifecycle rules",
            &["\"old\" expires objects", "s3:LifecycleExpiration:*"],
            [(
                "GetBucketLifecycleConfiguration",
                Play::Answer(
                    200,
                    "<LifecycleConfiguration><Rule><ID>old</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter>\
                     <Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>"
                        .to_owned(),
                ),
            )],
        ),
    ]
}

impl Broken {
    /// In a bucket of another account: S3 refuses to say anything on the condition that it is ours.
    fn of_another(mut self) -> Self {
        self.plays.push(Rule::of(VERSIONING, s3_error(403, "AccessDenied")).after(1).times(1));
        self.and("owner", "warning").and("queue policy", "could not tell")
    }
}

pub(super) fn notifications(place: &Place) -> Vec<Broken> {
    let lost = |words: &[&str], entries: &str| failing("notifications", words, [place.rules(entries)]);
    let everything = json!({ "source": ["aws.s3"] });
    let created = json!({ "source": ["aws.s3"], "detail-type": ["Object Created"] });
    let rule = |state: &str, pattern: &Value, target: &Value| place.bridge(true, state, pattern, target);
    let whole = json!({});
    vec![
        lost(&["told to none", "stocktake connect"], ""),
        lost(&["LifecycleExpiration:Delete", "told to none"], &tells_us(&ALL[..2], "")),
        lost(
            &["ObjectCreated:CompleteMultipartUpload"],
            &tells_us(&["s3:ObjectCreated:Put", ALL[1], ALL[2]], ""),
        ),
        lost(&["suffix \".bam\"", "take the suffix filter away"], &tells_us(&ALL, &filter("suffix", ".bam"))),
        lost(
            &["only some are told", "\"a/x\"", "\"a/y\""],
            &[tells_us(&ALL, &filter("prefix", "a/x")), tells_us(&ALL, &filter("prefix", "a/y"))].concat(),
        ),
        lost(
            &["told to others", "function arn:f", "SNS topic", "EventBridge"],
            &tells("<CloudFunction>arn:f</CloudFunction>", "CloudFunctionConfiguration", &ALL, ""),
        ),
        lost(
            &["told to others", "queue arn:aws:sqs:eu-central-1:123456789012:theirs"],
            &tells(
                "<Queue>arn:aws:sqs:eu-central-1:123456789012:theirs</Queue>",
                "QueueConfiguration",
                &ALL,
                "",
            ),
        ),
        failing("notifications", &["told to others", "subscribe our queue"], place.topic("", ""))
            .and("queue policy", "failure"),
        failing("topic", &["not confirmed", "SubscribeURL"], place.topic("PendingConfirmation", ""))
            .and("notifications", "failure"),
        failing("topic", &["some messages", "filter policy"], place.topic("arn:aws:sns:s", "{\"x\":[1]}"))
            .and("notifications", "failure"),
        failing(
            "topic",
            &["does not exist"],
            place.topic("arn:aws:sns:s", "").into_iter().map(|(operation, play)| {
                if operation == "GetTopicAttributes" {
                    (operation, query_error(404, "NotFound", "Topic does not exist"))
                } else {
                    (operation, play)
                }
            }),
        )
        .and("notifications", "failure")
        .and("queue policy", "failure"),
        failing(
            "topic policy",
            &["does not let S3 publish", "sns:Publish"],
            place.topic("arn:aws:sns:s", "").into_iter().map(|(operation, play)| {
                if operation == "GetTopicAttributes" {
                    query(operation, "<Attributes/>")
                } else {
                    (operation, play)
                }
            }),
        ),
        failing(
            "notifications",
            &["the bucket does not tell EventBridge"],
            place.bridge(false, "ENABLED", &everything, &whole),
        ),
        failing("notifications", &["lets no \"Object Deleted\" through"], rule("ENABLED", &created, &whole)),
        failing("EventBridge", &["disabled", "enable it"], rule("DISABLED", &everything, &whole))
            .and("notifications", "failure"),
        failing(
            "EventBridge",
            &["changes events"],
            rule("ENABLED", &everything, &json!({ "InputPath": "$.detail" })),
        )
        .and("notifications", "failure"),
    ]
}

pub(super) fn queues(place: &Place) -> Vec<Broken> {
    let bucket = format!("arn:aws:s3:::{}", place.bucket);
    let policy = |words: &[&str], more: &Value| failing("queue policy", words, [place.policy(more)]);
    let open =
        |more: &Value| warned("queue policy is tight", &["anybody", "aws:SourceArn"], [place.policy(more)]);
    let refused = |check, words: &[&str], operation, play| failing(check, words, [(operation, play)]);
    vec![
        refused("queue", &["QueueDoesNotExist", "exists"], QUEUE, sqs_error(400, "QueueDoesNotExist"))
            .and("everything else", "could not tell"),
        broken(
            &[("queue", "could not tell")],
            &["allow sqs:GetQueueAttributes"],
            vec![Rule::of(QUEUE, sqs_error(403, "AccessDeniedException"))],
        ),
        failing("queue", &["FIFO", "standard queue"], [attribute("FifoQueue", "true")]),
        failing(
            "queue's region",
            &["eu-west-1", "make a queue in eu-central-1"],
            [attribute("QueueArn", &place.arn.replace("eu-central-1", "eu-west-1"))],
        )
        .and("queue policy", "failure"),
        failing("queue policy", &["it has none", "--only queue"], [attribute("Policy", "")]),
        policy(
            &["on behalf of", &bucket],
            &json!({ "Condition": { "ArnLike": { "aws:SourceArn": "arn:aws:s3:::other" } } }),
        ),
        policy(
            &["on behalf of", "aws:SourceAccount"],
            &json!({ "Condition": { "StringEquals": { "aws:SourceAccount": "210987654321" } } }),
        ),
        policy(&["\"s\" forbids", "outweighs"], &json!({ "Effect": "Deny", "Principal": "*" })),
        policy(&["does not let"], &json!({ "Action": "sqs:ReceiveMessage" })),
        open(&json!({ "Condition": {} })),
        open(&json!({ "Principal": "*", "Condition": {} })),
        open(&json!({ "Condition": { "ArnLike": { "aws:SourceArn": "arn:aws:s3:*:*:*" } } })),
        failing("retention", &["1m", "1209600"], [attribute("MessageRetentionPeriod", "60")]),
        warned("retention", &["4 days", "1209600"], [attribute("MessageRetentionPeriod", "345600")]),
        failing("maximum message size", &["1024 bytes", "65536"], [attribute("MaximumMessageSize", "1024")]),
        warned("visibility timeout", &["0s", "VisibilityTimeout"], [attribute("VisibilityTimeout", "0")]),
        warned("delivery delay", &["15m", "DelaySeconds"], [attribute("DelaySeconds", "900")]),
        failing("depth", &["120000"], [attribute("ApproximateNumberOfMessagesNotVisible", "120000")]),
        warned("depth", &["500000 messages wait"], [attribute("ApproximateNumberOfMessages", "500000")]),
        warned("dead-letter queue", &["none", "stocktake connect"], [attribute("RedrivePolicy", "")]),
        warned(
            "redrive policy",
            &["after 1 receives", "maxReceiveCount to 1000"],
            [attribute(
                "RedrivePolicy",
                &json!({ "deadLetterTargetArn": format!("{}-dead", place.arn), "maxReceiveCount": 1 })
                    .to_string(),
            )],
        )
        .and("receiving", "could not tell"),
        broken(
            &[("dead-letter queue", "failure")],
            &["does not exist"],
            vec![Rule::of(QUEUE, sqs_error(400, "QueueDoesNotExist")).after(1)],
        ),
        broken(
            &[("redrive allow policy", "failure")],
            &["takes none", &format!("add {} to sourceQueueArns", place.arn)],
            of_dead_letters("RedriveAllowPolicy", r#"{"redrivePermission":"denyAll"}"#),
        ),
        broken(
            &[("redrive allow policy", "failure")],
            &["takes only those of arn:aws:sqs:eu-central-1:123456789012:theirs"],
            of_dead_letters(
                "RedriveAllowPolicy",
                r#"{"redrivePermission":"byQueue","sourceQueueArns":["arn:aws:sqs:eu-central-1:123456789012:theirs"]}"#,
            ),
        ),
        broken(
            &[("dead-letter queue", "warning")],
            &["3 messages"],
            of_dead_letters("ApproximateNumberOfMessages", "3"),
        ),
        broken(
            &[("dead-letter retention", "warning")],
            &["4 days"],
            of_dead_letters("MessageRetentionPeriod", "345600"),
        ),
        refused("receiving", &["allow sqs:ReceiveMessage"], RECEIVE, sqs_error(403, "AccessDeniedException")),
        refused(
            "acknowledging",
            &["allow sqs:DeleteMessage"],
            "DeleteMessage",
            sqs_error(403, "AccessDeniedException"),
        ),
        refused(
            "giving back",
            &["allow sqs:ChangeMessageVisibility"],
            "ChangeMessageVisibility",
            sqs_error(403, "AccessDeniedException"),
        ),
        warned(
            "messages",
            &["not JSON", "who else sends"],
            [(
                RECEIVE,
                Play::Answer(200, json!({ "Messages": [{ "MessageId": "1", "Body": "hello" }] }).to_string()),
            )],
        ),
    ]
}

/// What KMS, and SQS and S3 about KMS, are documented to answer.
pub(super) fn keys(place: &Place) -> Vec<Broken> {
    let encrypts = json!(["kms:GenerateDataKey*", "kms:Decrypt"]);
    let receives =
        |code, words: &str| failing("receiving", &[code, words], [(RECEIVE, sqs_error(400, code))]);
    let asked = |operation: &'static str, code| {
        place
            .key("Enabled", &encrypts)
            .into_iter()
            .map(move |(asked, play)| (asked, if asked == operation { sqs_error(400, code) } else { play }))
    };
    let untold = |operation: &'static str, code, words: &str| {
        let plays = asked(operation, code).map(played).collect();
        broken(&[("encryption key", "could not tell")], &[code, words], plays)
    };
    let with_key =
        |state| failing("encryption key", &["disabled", "enable the key"], place.key(state, &encrypts));
    let topic =
        place.topic("arn:aws:sns:s", "").into_iter().map(|(operation, play)| match (operation, play) {
            ("GetTopicAttributes", Play::Answer(status, body)) => {
                let keyed = format!("</entry>{}", entry("KmsMasterKeyId", "alias/aws/sns"));
                (operation, Play::Answer(status, body.replacen("</entry>", &keyed, 1)))
            }
            other => other,
        });
    vec![
        receives("KmsAccessDenied", "allow kms:Decrypt on the key"),
        receives("KmsDisabled", "enable the key"),
        receives("KmsInvalidState", "about to be deleted"),
        receives("KmsInvalidKeyUsage", "ENCRYPT_DECRYPT"),
        receives("KmsNotFound", "see that the key exists"),
        receives("KmsOptInRequired", "sign up for KMS"),
        broken(
            &[("receiving", "could not tell")],
            &["KmsThrottled", "wait"],
            vec![Rule::of(RECEIVE, sqs_error(400, "KmsThrottled"))],
        ),
        failing(
            "encryption key",
            &["does not exist", "encrypt with a key that exists"],
            asked("DescribeKey", "NotFoundException"),
        ),
        untold("DescribeKey", "AccessDeniedException", "allow kms:DescribeKey"),
        untold("DescribeKey", "DependencyTimeoutException", "wait"),
        untold("DescribeKey", "KMSInternalException", "wait"),
        untold("GetKeyPolicy", "AccessDeniedException", "allow kms:GetKeyPolicy"),
        untold("GetKeyPolicy", "KMSInvalidStateException", "state of the key"),
        with_key("Disabled"),
        with_key("PendingDeletion"),
        with_key("PendingImport"),
        with_key("Unavailable"),
        failing("encryption key", &["alias/aws/sns", "key of your own"], topic),
        failing(
            "encryption key",
            &["does not let s3.amazonaws.com do kms:GenerateDataKey", "--only key"],
            place.key("Enabled", &json!("kms:Decrypt")),
        ),
        failing(
            "encryption key",
            &["AWS's own key", "key of your own"],
            [attribute("KmsMasterKeyId", "alias/aws/sqs")],
        ),
        broken(&[], &[], place.key("Enabled", &encrypts).into_iter().map(played).collect()),
    ]
}
