//! Keys that queues and topics are encrypted with.

use crate::fault::Kind;
use crate::setup::estate::{Key, Looked};
use crate::setup::finding::{Finding, Subject};
use crate::setup::grant::{Act, Answer, answer};

/// What must be able to write with a key.
#[derive(Clone, Debug)]
pub(in crate::setup) struct Reader<'a> {
    /// `s3.amazonaws.com`.
    pub(in crate::setup) service: &'a str,
    /// On behalf of what.
    pub(in crate::setup) source: &'a str,
    /// On behalf of whom.
    pub(in crate::setup) account: Option<&'a str>,
}

/// Whether whoever sends can encrypt with a queue's or topic's key. A sender that cannot loses the
/// message, and tells nobody.
pub(in crate::setup) fn key(
    subject: &Subject,
    id: &str,
    key: &Looked<Key>,
    reader: &Reader<'_>,
) -> Vec<Finding> {
    const CHECK: &str = "encryption key";
    const REMEDY: &str =
        "add what `stocktake policy --bucket B --account ID --only key` prints to the key's policy";
    let service = reader.service;
    // AWS's own have fixed aliases, and policies that nobody can change.
    if id.contains("alias/aws/") {
        return vec![aws_owned(subject, id, service)];
    }
    let key = match key {
        Ok(key) => key,
        Err(fault) if fault.kind == Kind::Absent => {
            let found = format!("{id} does not exist: nobody can send");
            return vec![subject.failure(CHECK, found, "encrypt with a key that exists")];
        }
        Err(fault) => return vec![subject.untold(CHECK, fault)],
    };
    if key.is_aws {
        return vec![aws_owned(subject, &key.arn, service)];
    }
    if !key.is_enabled {
        let found = format!("{} is disabled or about to be deleted: nobody can send", key.arn);
        return vec![subject.failure(CHECK, found, "enable the key, or encrypt with another")];
    }
    let policy = match &key.policy {
        Ok(policy) => policy,
        Err(fault) => return vec![subject.untold(CHECK, fault)],
    };
    for action in ["kms:GenerateDataKey", "kms:Decrypt"] {
        let act = Act { service, action, resource: &key.arn, source: reader.source, account: reader.account };
        match answer(policy, &act) {
            Ok(Answer::Allowed) => {}
            Ok(Answer::NotAllowed) => {
                let found = format!(
                    "the policy of {} does not let {service} do {action}: what it sends is lost",
                    key.arn
                );
                return vec![subject.failure(CHECK, found, REMEDY)];
            }
            Ok(Answer::Forbidden(statement)) => {
                let found =
                    format!("{statement} in the policy of {} forbids {service} to do {action}", key.arn);
                return vec![subject.failure(CHECK, found, "change or remove that statement")];
            }
            Ok(Answer::Unsure(why)) => {
                let found =
                    format!("whether {service} may do {action} with {} cannot be said: {why}", key.arn);
                return vec![subject.unknown(CHECK, found, REMEDY)];
            }
            Err(error) => {
                let found = format!("the policy of {} cannot be read: {error}", key.arn);
                return vec![subject.unknown(CHECK, found, REMEDY)];
            }
        }
    }
    vec![subject.ok(CHECK, format!("{service} may encrypt with {}", key.arn))]
}

fn aws_owned(subject: &Subject, id: &str, service: &str) -> Finding {
    subject.failure(
        "encryption key",
        format!("{id} is AWS's own key, whose policy does not let {service} use it and cannot be changed"),
        "encrypt with SSE-SQS or with a key of your own (kms_key), and let that be used: `stocktake policy --bucket B --account ID --only key`",
    )
}
