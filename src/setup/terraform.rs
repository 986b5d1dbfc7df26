//! The same as Terraform, for those who must not let a program change things.

use std::fmt::Write;

use super::plan::{Found, Target, wanted_events};
use super::policy;
use crate::bucket::rules::{Destination, Rule};

/// Resources that make what [`super::plan::connect`] would. Terraform owns a bucket's notification
/// configuration as a whole, so the entries of others are in it, too.
pub fn terraform(target: &Target, found: &Found) -> String {
    let Target { bucket, queue: (queue, arn), dead: (dead, _), .. } = target;
    let mut text = String::new();
    let policy = policy::Document::of(vec![policy::send(arn, &target.bucket_arn, &target.account)]).pretty();
    let key = target.kms_key.as_ref().map(|key| format!("\n  kms_master_key_id          = {}", quoted(key)));
    let _ = write!(
        text,
        "resource \"aws_sqs_queue\" \"stocktake_dead\" {{\n  name                      = {}\n  \
         message_retention_seconds = 1209600\n}}\n\n\
         resource \"aws_sqs_queue\" \"stocktake\" {{\n  name                       = {}\n  \
         message_retention_seconds  = 1209600\n  max_message_size           = 262144\n  \
         receive_wait_time_seconds  = 20{}\n  \
         redrive_policy = jsonencode({{\n    deadLetterTargetArn = aws_sqs_queue.stocktake_dead.arn\n    \
         maxReceiveCount     = 1000\n  }})\n}}\n\n\
         resource \"aws_sqs_queue_policy\" \"stocktake\" {{\n  queue_url = aws_sqs_queue.stocktake.id\n  \
         policy    = <<-JSON\n{policy}\nJSON\n}}\n\n",
        quoted(dead),
        quoted(queue),
        key.unwrap_or_default(),
    );
    let _ = write!(
        text,
        "# This resource is the whole of the bucket's notification configuration. If another module has it already,\n\
         # add the entry of Stocktake there instead.\n\
         resource \"aws_s3_bucket_notification\" \"stocktake\" {{\n  bucket      = {}\n  eventbridge = {}\n",
        quoted(bucket),
        found.rules.event_bridge
    );
    for rule in &found.rules.rules {
        text.push_str(&block(rule, None));
    }
    if let Some(rule) = wanted_events(target, found) {
        text.push_str(&block(&rule, Some("aws_sqs_queue.stocktake.arn")));
    }
    text.push_str("\n  depends_on = [aws_sqs_queue_policy.stocktake]\n}");
    text
}

fn block(rule: &Rule, to: Option<&str>) -> String {
    let (name, key) = match rule.destination {
        Destination::Queue(_) => ("queue", "queue_arn"),
        Destination::Topic(_) => ("topic", "topic_arn"),
        Destination::Function(_) => ("lambda_function", "lambda_function_arn"),
    };
    let to = to.map_or_else(|| quoted(rule.destination.arn()), str::to_owned);
    let events: Vec<String> = rule.events.iter().map(|event| quoted(event)).collect();
    let mut block = format!("\n  {name} {{\n");
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(block, "    {name:<19} = {value}");
    };
    line("id", &quoted(&rule.id));
    line(key, &to);
    line("events", &format!("[{}]", events.join(", ")));
    for filter in rule.filters.iter().filter(|filter| !filter.value.is_empty()) {
        line(&format!("filter_{}", filter.name.to_ascii_lowercase()), &quoted(&filter.value));
    }
    block.push_str("  }\n");
    block
}

/// A text as HCL writes it, where `${` and `%{` would begin a template.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted.replace("${", "$${").replace("%{", "%%{")
}
