use std::collections::HashMap;

use serde_json::{Value, json};

use super::*;

const QUEUE: &str = "arn:aws:sqs:eu-central-1:123456789012:stocktake";
const KEY: &str = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const OURS: &str = "arn:aws:iam::123456789012:role/daemon";

/// The documents of bucket `genomics`, by kind and what they are attached to.
fn made(sections: &str, told: &Told) -> Result<Vec<(Kind, String, Value)>, String> {
    made_with("never", sections, told, None)
}

fn made_with(
    every: &str,
    sections: &str,
    told: &Told,
    only: Option<Kind>,
) -> Result<Vec<(Kind, String, Value)>, String> {
    let toml = format!(
        "[database]\nurl = 'postgres://h/d'\n[doctor]\nevery = '{every}'\n[[queue]]\nurl = 'https://sqs.eu-central-1.amazonaws.com/123456789012/stocktake'\n{sections}"
    );
    let config = loaded(&toml);
    let parts: Vec<_> = config.buckets.iter().filter(|bucket| bucket.name == "genomics").collect();
    let documents = documents(&config, &parts, told, only)?;
    Ok(documents
        .into_iter()
        .map(|made| (made.kind, made.of, serde_json::from_str(&made.policy.pretty()).unwrap()))
        .collect())
}

fn loaded(toml: &str) -> Config {
    let file = std::env::temp_dir().join(format!("stocktake-documents-{}.toml", fastrand::u64(..)));
    std::fs::write(&file, toml).unwrap();
    let config = crate::config::load(Some(&file), HashMap::new());
    std::fs::remove_file(file).unwrap();
    config.unwrap()
}

fn policy(statements: Value) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn receive() -> Value {
    json!({
        "Sid": "Receive", "Effect": "Allow", "Resource": [QUEUE],
        "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"],
    })
}

#[test]
fn our_own_bucket_takes_two_policies() {
    let told = Told { principal: Some(OURS.to_owned()), account: None };
    let made =
        made("[[bucket]]\nname = 'genomics'\nprefix = 'pro*jects/'\nregion = 'eu-central-1'", &told).unwrap();
    let permissions = policy(json!([
        {
            "Sid": "List", "Effect": "Allow", "Action": ["s3:ListBucketVersions"],
            "Resource": ["arn:aws:s3:::genomics"],
            "Condition": { "StringLike": { "s3:prefix": ["pro${*}jects/*"] } },
        },
        {
            "Sid": "State", "Effect": "Allow", "Action": ["s3:GetBucketLocation", "s3:GetBucketNotification", "s3:GetBucketVersioning"],
            "Resource": ["arn:aws:s3:::genomics"],
        },
        receive(),
    ]));
    let send = policy(json!([{
        "Sid": "Stocktakegenomics", "Effect": "Allow", "Principal": { "Service": "s3.amazonaws.com" },
        "Action": ["sqs:SendMessage"], "Resource": [QUEUE],
        "Condition": {
            "ArnLike": { "aws:SourceArn": "arn:aws:s3:::genomics" },
            "StringEquals": { "aws:SourceAccount": "123456789012" },
        },
    }]));
    assert_eq!(
        made,
        [(Kind::Permissions, NO_ROLE.to_owned(), permissions), (Kind::Queue, QUEUE.to_owned(), send)]
    );
}

#[test]
fn a_role_of_theirs_reads_the_bucket_and_our_own_the_queue() {
    let role = "arn:aws:iam::210987654321:role/reader";
    let sections = format!(
        "[[bucket]]\nname = 'genomics'\nregion = 'eu-central-1'\nrole_arn = '{role}'\nexternal_id = 'partner 7'"
    );
    let made = made(&sections, &Told { principal: Some(OURS.to_owned()), account: None }).unwrap();
    let kinds: Vec<_> = made.iter().map(|(kind, of, _)| (*kind, of.as_str())).collect();
    assert_eq!(
        kinds,
        [(Kind::Permissions, NO_ROLE), (Kind::Permissions, role), (Kind::Trust, role), (Kind::Queue, QUEUE)]
    );
    let take_on =
        json!({ "Sid": "TakeOnRole", "Effect": "Allow", "Action": ["sts:AssumeRole"], "Resource": [role] });
    assert_eq!(made[0].2, policy(json!([receive(), take_on])));
    assert!(made[1].2["Statement"][0].get("Condition").is_none(), "all of the bucket may be listed");
    let trust = json!({
        "Sid": "Stocktake", "Effect": "Allow", "Principal": { "AWS": OURS }, "Action": ["sts:AssumeRole"],
        "Condition": { "StringEquals": { "sts:ExternalId": "partner 7" } },
    });
    assert_eq!(made[2].2, policy(json!([trust])));
    let of = &made[3].2["Statement"][0]["Condition"]["StringEquals"]["aws:SourceAccount"];
    assert_eq!(of, "210987654321", "the bucket is where its role is");
}

#[test]
fn a_bucket_of_theirs_without_a_role_must_let_us_in() {
    let told = Told { principal: Some(OURS.to_owned()), account: Some("210987654321".to_owned()) };
    let made = made(
        "[[bucket]]\nname = 'genomics'\nprefix = 'a/'\n[[bucket]]\nname = 'genomics'\nprefix = 'b/'",
        &told,
    )
    .unwrap();
    let (kind, of, bucket) = &made[1];
    assert_eq!((*kind, of.as_str()), (Kind::Bucket, "arn:aws:s3:::genomics"));
    let statements = bucket["Statement"].as_array().unwrap();
    assert_eq!(statements.len(), 2, "nothing of the queue: {bucket}");
    assert!(statements.iter().all(|statement| statement["Principal"] == json!({ "AWS": OURS })), "{bucket}");
    assert_eq!(statements[0]["Condition"], json!({ "StringLike": { "s3:prefix": ["a/*", "b/*"] } }));
}

#[test]
fn a_key_of_ones_own_lets_s3_write_and_us_read() {
    let sections = format!("kms_key = '{KEY}'\n[[bucket]]\nname = 'genomics'");
    let made = made(&sections, &Told::default()).unwrap();
    let read = json!({ "Sid": "Messages", "Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": [KEY] });
    assert_eq!(made[0].2["Statement"][3], read);
    let (kind, of, key) = made.last().unwrap();
    assert_eq!((*kind, of.as_str()), (Kind::Key, KEY));
    assert_eq!(key["Statement"][0]["Action"], json!(["kms:GenerateDataKey*", "kms:Decrypt"]));
    assert_eq!(key["Statement"][0]["Principal"], json!({ "Service": "s3.amazonaws.com" }));
    assert_eq!(key["Statement"][0]["Condition"], made[1].2["Statement"][0]["Condition"]);
    assert_eq!(key["Statement"][1]["Principal"], json!({ "AWS": "arn:aws:iam::123456789012:root" }));
}

#[test]
fn what_is_not_known_is_asked_for() {
    let bucket = "[[bucket]]\nname = 'genomics'\nregion = 'us-east-1'";
    let unknown = made(bucket, &Told::default()).unwrap_err();
    // All that is missing, at once.
    assert_eq!(
        unknown,
        "the account that owns \"genomics\" is not known: add --account 123456789012; who the daemon is, is not known: \
         add --principal with the ARN of its user or role"
    );
    let of = |kind| made_with("never", bucket, &Told::default(), Some(kind)).map(|made| made.len());
    assert_eq!(
        (of(Kind::Permissions), of(Kind::Queue), of(Kind::Trust)),
        (Ok(1), Ok(0), Ok(0)),
        "these name neither"
    );
    assert!(of(Kind::Bucket).is_err());
    let trust =
        "[[bucket]]\nname = 'genomics'\nregion = 'us-east-1'\nrole_arn = 'arn:aws:iam::210987654321:role/r'";
    let wanted = made_with("never", trust, &Told::default(), Some(Kind::Trust)).unwrap_err();
    assert!(wanted.contains("--principal") && !wanted.contains("--account"), "{wanted}");
    let told = Told { account: Some("210987654321".to_owned()), principal: None };
    assert!(made(bucket, &told).unwrap_err().contains("--principal"));
    let told = Told { account: Some("21".to_owned()), ..told };
    assert!(made(bucket, &told).unwrap_err().contains("twelve digits"));
    let told = Told { principal: Some("daemon".to_owned()), ..Told::default() };
    assert!(made("[[bucket]]\nname = 'genomics'", &told).unwrap_err().contains("must be the ARN"));
}

#[test]
fn what_is_left_out_is_told() {
    let told = |queue: &str, region: &str, only| {
        let toml = format!(
            "[database]\nurl = 'postgres://h/d'\n[[queue]]\nurl = '{queue}'\n[[bucket]]\nname = 'genomics'\nregion = '{region}'"
        );
        let config = loaded(&toml);
        let parts: Vec<_> = config.buckets.iter().collect();
        let told = Told { principal: Some(OURS.to_owned()), account: Some("123456789012".to_owned()) };
        let made = documents(&config, &parts, &told, only).unwrap();
        left_out(&config, &parts, &made, only).join("; ")
    };
    let theirs = "https://sqs.eu-central-1.amazonaws.com/123456789012/stocktake";
    assert_eq!(told(theirs, "eu-central-1", None), "");
    for (queue, region, only, words) in [
        ("http://localhost:9324/queue/stocktake", "eu-central-1", None, "does not name an account"),
        (
            theirs,
            "eu-west-2",
            Some(Kind::Queue),
            "it is in eu-central-1, and bucket \"genomics\" in eu-west-2",
        ),
        (theirs, "eu-central-1", Some(Kind::Trust), "nothing to print: no role is taken on"),
        (theirs, "eu-central-1", Some(Kind::Key), "no [[queue]] section has kms_key"),
        (theirs, "eu-central-1", Some(Kind::Bucket), "of the account that owns it"),
    ] {
        let told = told(queue, region, only);
        assert!(told.contains(words), "no {words:?} in {told:?}");
    }
}

#[test]
fn whoever_asks_may_look() {
    let role = "arn:aws:iam::123456789012:role/reader";
    let section = format!("[[bucket]]\nname = 'genomics'\nregion = 'eu-central-1'\nrole_arn = '{role}'");
    let told = Told { principal: Some(OURS.to_owned()), account: None };
    let made = made_with("15m", &section, &told, Some(Kind::Permissions)).unwrap();
    let looks = |(_, of, policy): &(Kind, String, Value)| {
        let sids = policy["Statement"]
            .as_array()
            .unwrap()
            .iter()
            .map(|statement| statement["Sid"].as_str().unwrap());
        (of.clone(), sids.filter(|sid| sid.starts_with("LookAt")).map(str::to_owned).collect::<Vec<_>>())
    };
    let [of_queue, of_bucket] = made.as_slice() else { panic!("{made:?}") };
    assert_eq!(
        looks(of_queue),
        (NO_ROLE.to_owned(), vec!["LookAtKeys".to_owned(), "LookAtDeadLetters".to_owned()])
    );
    let more = ["LookAtBucket", "LookAtTopics", "LookAtEventBridge", "LookAtKeys"].map(str::to_owned);
    assert_eq!(looks(of_bucket), (role.to_owned(), more.to_vec()));
}

#[test]
fn looking_takes_leave_to_look() {
    let told = Told { principal: Some(OURS.to_owned()), account: None };
    let silent = made("[[bucket]]\nname = 'genomics'\nregion = 'eu-central-1'", &told).unwrap();
    let looking =
        made_with("15m", "[[bucket]]\nname = 'genomics'\nregion = 'eu-central-1'", &told, None).unwrap();
    let sids = |made: &[(Kind, String, Value)]| -> Vec<String> {
        let statements = made[0].2["Statement"].as_array().unwrap().iter();
        statements.map(|statement| statement["Sid"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(sids(&silent), ["List", "State", "Receive"]);
    let more = [
        "List",
        "State",
        "LookAtBucket",
        "Receive",
        "LookAtTopics",
        "LookAtEventBridge",
        "LookAtKeys",
        "LookAtDeadLetters",
    ];
    assert_eq!(sids(&looking), more);
    assert_eq!(
        looking[0].2["Statement"][6]["Resource"],
        json!(["arn:aws:kms:eu-central-1:123456789012:key/*"])
    );
}

#[test]
fn inventory_reports_may_be_read_where_they_are() {
    let reader = "arn:aws:iam::210987654321:role/reports";
    let sections = format!(
        "[[bucket]]\nname = 'genomics'\nregion = 'eu-central-1'\nsource = 'inventory'\n\
         inventory = 's3://reports/daily/genomics/all/'\ninventory_role_arn = '{reader}'"
    );
    let made = made(&sections, &Told { principal: Some(OURS.to_owned()), account: None }).unwrap();
    let (_, _, reports) =
        made.iter().find(|(kind, of, _)| *kind == Kind::Permissions && of == reader).unwrap();
    let list = json!({
        "Sid": "ListReports", "Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["arn:aws:s3:::reports"],
        "Condition": { "StringLike": { "s3:prefix": ["daily/genomics/all/*"] } },
    });
    let read = json!({
        "Sid": "ReadReports", "Effect": "Allow", "Action": ["s3:GetObject"],
        "Resource": ["arn:aws:s3:::reports/daily/genomics/all/*"],
    });
    assert_eq!(*reports, policy(json!([list, read])));
    assert!(made.iter().any(|(kind, of, _)| *kind == Kind::Trust && of == reader));
}
