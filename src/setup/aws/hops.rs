//! What SNS, EventBridge and KMS tell of what lies between.

use aws_sdk_eventbridge::types::RuleState;
use aws_sdk_kms::types::{KeyManagerType, KeyState};

use super::{Clients, call, told};
use crate::aws::Watch;
use crate::setup::estate::{BridgeRule, Key, Looked, Subscription, Target, Topic};

/// Pages of subscriptions, rules or targets: more than anybody has for one bucket.
const PAGES_MAX: usize = 20;

pub(super) async fn topic(clients: &Clients, arn: &str) -> Looked<Topic> {
    let watch = Watch::default();
    let call_topic = call(format!("ask about topic {arn}"), "sns:GetTopicAttributes", arn);
    let request = clients.sns.get_topic_attributes().topic_arn(arn).customize().interceptor(watch.clone());
    let attributes = told(&call_topic, request.send().await, &watch)?.attributes.unwrap_or_default();
    let mut subscriptions = Vec::new();
    let mut next = None;
    for _ in 0..PAGES_MAX {
        let watch = Watch::default();
        let call = call(format!("ask who hears of topic {arn}"), "sns:ListSubscriptionsByTopic", arn);
        let request = clients.sns.list_subscriptions_by_topic().topic_arn(arn).set_next_token(next);
        let page = told(&call, request.customize().interceptor(watch.clone()).send().await, &watch)?;
        for subscription in page.subscriptions.unwrap_or_default() {
            let own = subscription.subscription_arn.unwrap_or_default();
            // Until its owner agrees it is called `PendingConfirmation`.
            let is_confirmed = own.starts_with("arn:");
            let protocol = subscription.protocol.unwrap_or_default();
            let filter = if is_confirmed && protocol == "sqs" { filter(clients, &own).await? } else { None };
            let endpoint = subscription.endpoint.unwrap_or_default();
            subscriptions.push(Subscription { protocol, endpoint, is_confirmed, filter });
        }
        next = page.next_token.filter(|token| !token.is_empty());
        if next.is_none() {
            break;
        }
    }
    let text = |name: &str| attributes.get(name).filter(|text| !text.is_empty()).cloned();
    Ok(Topic { policy: text("Policy"), kms_key: text("KmsMasterKeyId"), subscriptions })
}

async fn filter(clients: &Clients, subscription: &str) -> Looked<Option<String>> {
    let watch = Watch::default();
    let call =
        call(format!("ask about subscription {subscription}"), "sns:GetSubscriptionAttributes", subscription);
    let request = clients.sns.get_subscription_attributes().subscription_arn(subscription);
    let output = told(&call, request.customize().interceptor(watch.clone()).send().await, &watch)?;
    let filter = output.attributes.unwrap_or_default().remove("FilterPolicy");
    Ok(filter.filter(|filter| !filter.is_empty() && filter != "{}"))
}

pub(super) async fn bridge(clients: &Clients, queue: &str) -> Looked<Vec<BridgeRule>> {
    let mut names = Vec::new();
    let mut next = None;
    for _ in 0..PAGES_MAX {
        let watch = Watch::default();
        let call = call(
            format!("ask which rules of EventBridge lead to {queue}"),
            "events:ListRuleNamesByTarget",
            queue,
        );
        let request = clients.events.list_rule_names_by_target().target_arn(queue).set_next_token(next);
        let page = told(&call, request.customize().interceptor(watch.clone()).send().await, &watch)?;
        names.extend(page.rule_names.unwrap_or_default());
        next = page.next_token.filter(|token| !token.is_empty());
        if next.is_none() {
            break;
        }
    }
    let mut rules = Vec::new();
    for name in names {
        rules.push(bridge_rule(clients, &name).await?);
    }
    Ok(rules)
}

async fn bridge_rule(clients: &Clients, name: &str) -> Looked<BridgeRule> {
    let watch = Watch::default();
    let call_rule = call(format!("ask about EventBridge's rule {name:?}"), "events:DescribeRule", name);
    let request = clients.events.describe_rule().name(name).customize().interceptor(watch.clone());
    let rule = told(&call_rule, request.send().await, &watch)?;
    let watch = Watch::default();
    let call_targets =
        call(format!("ask where EventBridge's rule {name:?} leads"), "events:ListTargetsByRule", name);
    let request = clients.events.list_targets_by_rule().rule(name).customize().interceptor(watch.clone());
    let targets = told(&call_targets, request.send().await, &watch)?.targets.unwrap_or_default();
    Ok(BridgeRule {
        arn: rule.arn.unwrap_or_default(),
        name: name.to_owned(),
        pattern: rule.event_pattern.unwrap_or_else(|| "{}".to_owned()),
        is_enabled: rule.state != Some(RuleState::Disabled),
        targets: targets
            .into_iter()
            .map(|target| Target {
                is_transformed: target.input.is_some()
                    || target.input_path.is_some_and(|path| path != "$")
                    || target.input_transformer.is_some(),
                arn: target.arn,
            })
            .collect(),
    })
}

pub(super) async fn key(clients: &Clients, id: &str) -> Looked<Key> {
    let watch = Watch::default();
    let call_key = call(format!("ask about key {id}"), "kms:DescribeKey", id);
    let request = clients.kms.describe_key().key_id(id).customize().interceptor(watch.clone());
    let metadata = told(&call_key, request.send().await, &watch)?.key_metadata;
    let state = metadata.as_ref().and_then(|metadata| metadata.key_state.clone());
    let arn = metadata.as_ref().and_then(|metadata| metadata.arn.clone()).unwrap_or_else(|| id.to_owned());
    let is_aws = metadata.is_some_and(|metadata| metadata.key_manager == Some(KeyManagerType::Aws));
    let watch = Watch::default();
    let call_policy = call(format!("read the policy of key {arn}"), "kms:GetKeyPolicy", &arn);
    let request = clients.kms.get_key_policy().key_id(&arn).policy_name("default");
    let policy = told(&call_policy, request.customize().interceptor(watch.clone()).send().await, &watch);
    Ok(Key {
        is_enabled: state.is_none_or(|state| state == KeyState::Enabled),
        is_aws,
        policy: policy.map(|output| output.policy.unwrap_or_else(|| "{}".to_owned())),
        arn,
    })
}
