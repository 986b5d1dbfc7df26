//! The SDK's four lists of a notification configuration, as rules.

use aws_sdk_s3::operation::get_bucket_notification_configuration::GetBucketNotificationConfigurationOutput;
use aws_sdk_s3::types::{Event, NotificationConfigurationFilter};

use crate::bucket::rules::{Destination, Filter, Rule, Rules};

pub(super) fn rules(output: GetBucketNotificationConfigurationOutput) -> Rules {
    let queues = output
        .queue_configurations
        .unwrap_or_default()
        .into_iter()
        .map(|queue| rule(queue.id, Destination::Queue(queue.queue_arn), &queue.events, queue.filter));
    let topics = output
        .topic_configurations
        .unwrap_or_default()
        .into_iter()
        .map(|topic| rule(topic.id, Destination::Topic(topic.topic_arn), &topic.events, topic.filter));
    let functions = output.lambda_function_configurations.unwrap_or_default().into_iter().map(|function| {
        rule(
            function.id,
            Destination::Function(function.lambda_function_arn),
            &function.events,
            function.filter,
        )
    });
    Rules {
        rules: queues.chain(topics).chain(functions).collect(),
        event_bridge: output.event_bridge_configuration.is_some(),
    }
}

fn rule(
    id: Option<String>,
    destination: Destination,
    events: &[Event],
    filter: Option<NotificationConfigurationFilter>,
) -> Rule {
    let filters = filter.and_then(|filter| filter.key?.filter_rules).unwrap_or_default();
    let filters = filters.into_iter().map(|filter| Filter {
        name: filter.name.map(|name| name.as_str().to_owned()).unwrap_or_default(),
        value: filter.value.unwrap_or_default(),
    });
    Rule {
        id: id.unwrap_or_default(),
        destination,
        events: events.iter().map(|event| event.as_str().to_owned()).collect(),
        filters: filters.collect(),
    }
}
