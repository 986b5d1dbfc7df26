//! The Terraform module. The AWS provider is in no registry of packages, without which Terraform validates nothing, so its
//! language is read by a parser, and what it says is compared with the provider's schema as far as it is used, and with
//! our own policies.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;
use stocktake::bucket::rules::NEEDED;
use stocktake::setup::policy::{self, Use};

use crate::{read, root, run, tool};

const FILES: [&str; 4] = ["main.tf", "outputs.tf", "variables.tf", "versions.tf"];

/// What a block of each type may have in it: of the provider's schema, version 5, what is used here
/// (<https://registry.terraform.io/providers/hashicorp/aws/latest/docs>), and of the language.
const SCHEMA: [(&str, &[&str]); 9] = [
    ("aws_caller_identity", &[]),
    ("aws_iam_policy_document", &["statement", "dynamic"]),
    ("aws_partition", &[]),
    ("aws_s3_bucket_notification", &["bucket", "count", "depends_on", "eventbridge", "queue"]),
    (
        "aws_sqs_queue",
        &[
            "kms_master_key_id",
            "max_message_size",
            "message_retention_seconds",
            "name",
            "receive_wait_time_seconds",
            "redrive_policy",
            "visibility_timeout_seconds",
        ],
    ),
    ("aws_sqs_queue_policy", &["policy", "queue_url"]),
    ("aws_sqs_queue_redrive_allow_policy", &["queue_url", "redrive_allow_policy"]),
    ("queue", &["events", "filter_prefix", "filter_suffix", "id", "queue_arn"]),
    ("statement", &["actions", "condition", "dynamic", "effect", "principals", "resources", "sid"]),
];

/// A file of the module as JSON. Texts keep their quotation marks, and everything else is `${…}`.
fn parsed(file: &str) -> Value {
    let program = "import hcl2, json, sys; print(json.dumps(hcl2.load(open(sys.argv[1]))))";
    let path = root().join("deploy/terraform").join(file);
    serde_json::from_str(&run(Command::new(tool("python")).args(["-c", program]).arg(path))).expect("JSON")
}

/// The blocks of a kind with two labels: type, name, and what is in it.
fn blocks(file: &Value, kind: &str) -> Vec<(String, String, Value)> {
    let bare = |label: &String| label.trim_matches('"').to_owned();
    let mut blocks = Vec::new();
    for block in file[kind].as_array().into_iter().flatten() {
        for (of_type, named) in
            block.as_object().into_iter().flatten().filter(|(name, _)| !name.starts_with("__"))
        {
            for (name, body) in
                named.as_object().into_iter().flatten().filter(|(name, _)| !name.starts_with("__"))
            {
                blocks.push((bare(of_type), bare(name), body.clone()));
            }
        }
    }
    blocks
}

fn check_names(of_type: &str, body: &Value) {
    let (_, known) =
        SCHEMA.iter().find(|(name, _)| *name == of_type).unwrap_or_else(|| panic!("type {of_type}"));
    for (name, value) in body.as_object().into_iter().flatten().filter(|(name, _)| !name.starts_with("__")) {
        assert!(known.contains(&name.as_str()), "{of_type} has no {name}");
        if ["queue", "statement"].contains(&name.as_str()) {
            value.as_array().into_iter().flatten().for_each(|block| check_names(name, block));
        }
    }
}

#[test]
fn blocks_have_what_the_provider_knows() {
    let main = parsed("main.tf");
    let (resources, data) = (blocks(&main, "resource"), blocks(&main, "data"));
    assert_eq!((resources.len(), data.len()), (5, 4), "{resources:?} {data:?}");
    for (of_type, _, body) in resources.iter().chain(&data) {
        check_names(of_type, body);
    }
}

#[test]
fn whatever_is_referred_to_is_there() {
    let text: String = FILES.map(|file| read(&format!("deploy/terraform/{file}"))).concat();
    let (main, variables) = (parsed("main.tf"), parsed("variables.tf"));
    let mut known = BTreeSet::new();
    known.extend(blocks(&main, "resource").into_iter().map(|(of_type, name, _)| format!("{of_type}.{name}")));
    known
        .extend(blocks(&main, "data").into_iter().map(|(of_type, name, _)| format!("data.{of_type}.{name}")));
    let names = |file: &Value, kind: &str| -> Vec<String> {
        let blocks = file[kind].as_array().into_iter().flatten().filter_map(Value::as_object);
        let names = blocks.flat_map(|block| block.keys().map(|name| name.trim_matches('"').to_owned()));
        names.filter(|name| !name.starts_with("__")).collect()
    };
    known.extend(names(&main, "locals").iter().map(|name| format!("local.{name}")));
    known.extend(names(&variables, "variable").iter().map(|name| format!("var.{name}")));
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let code = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let words: Vec<&str> = code.flat_map(|line| line.split(|c| !is_part(c))).collect();
    let mut used = BTreeSet::new();
    for word in words {
        let parts: Vec<&str> = word.split('.').collect();
        let depth = match parts[0] {
            "var" | "local" => 2,
            "data" => 3,
            first if first.starts_with("aws_") => 2,
            _ => continue,
        };
        if parts.len() > 1 {
            used.insert(parts[..depth.min(parts.len())].join("."));
        }
    }
    let missing: Vec<&String> = used.difference(&known).collect();
    assert!(missing.is_empty(), "{missing:?} is not among {known:?}");
    let idle: Vec<&String> = known.difference(&used).filter(|name| name.starts_with("var.")).collect();
    assert!(idle.is_empty(), "nothing uses {idle:?}");
}

/// Every statement below, by its name, with its actions.
fn statements(value: &Value, found: &mut BTreeMap<String, BTreeSet<String>>) {
    let texts = |value: &Value| -> BTreeSet<String> {
        let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        texts.map(|text| text.trim_matches('"').to_owned()).collect()
    };
    if let (Some(sid), actions @ Value::Array(_)) = (value["sid"].as_str(), &value["actions"]) {
        found.insert(sid.trim_matches('"').to_owned(), texts(actions));
    }
    match value {
        Value::Array(values) => values.iter().for_each(|value| statements(value, found)),
        Value::Object(values) => values.values().for_each(|value| statements(value, found)),
        _ => {}
    }
}

#[test]
fn the_role_may_do_what_our_own_policy_says() {
    let data = blocks(&parsed("main.tf"), "data");
    let (_, _, daemon) = data.iter().find(|(_, name, _)| name == "daemon").expect("a policy of the daemon");
    let mut module = BTreeMap::new();
    statements(daemon, &mut module);
    let used = Use { prefixes: vec!["a/".to_owned()], heads: true, tags: true, ..Use::default() };
    let ours = policy::bucket(&used).into_iter().chain(policy::queue("arn:aws:sqs:r:1:q", Some("key")));
    let mut expected = BTreeMap::new();
    for statement in ours {
        let statement = serde_json::to_value(statement).expect("JSON");
        let actions = statement["Action"].as_array().expect("actions").iter().filter_map(Value::as_str);
        expected.insert(
            statement["Sid"].as_str().expect("a name").to_owned(),
            actions.map(str::to_owned).collect(),
        );
    }
    // Of what the doctor looks at there, only this is for a metric.
    expected.insert("LookAtDeadLetters".to_owned(), BTreeSet::from(["sqs:GetQueueAttributes".to_owned()]));
    assert_eq!(module, expected);
}

#[test]
fn the_bucket_tells_of_everything_a_catalog_needs() {
    let main = parsed("main.tf");
    let events = main["locals"][0]["events"].as_array().expect("events").iter().filter_map(Value::as_str);
    let events: Vec<&str> = events.map(|event| event.trim_matches('"')).collect();
    for needed in NEEDED {
        let is_told = |event: &&str| event.strip_suffix('*').is_some_and(|family| needed.starts_with(family));
        assert!(events.iter().any(is_told), "{needed} is not in {events:?}");
    }
}
