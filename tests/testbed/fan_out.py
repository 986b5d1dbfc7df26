"""Has buckets tell a queue of their changes, each in another way: S3 itself, an SNS topic, an SNS
topic without its envelope, and EventBridge. Prints nothing.
"""

import argparse
import json
import os

import bed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", default=os.environ.get("AWS_ENDPOINT_URL"), help="default: AWS_ENDPOINT_URL")
    parser.add_argument("queue_arn")
    parser.add_argument("direct", help="a bucket, as the others")
    parser.add_argument("wrapped")
    parser.add_argument("raw")
    parser.add_argument("bridge")
    arguments = parser.parse_args()

    client = lambda service: bed.client(service, arguments.endpoint)  # noqa: E731
    s3, sns, events = client("s3"), client("sns"), client("events")
    bed.notify(s3, arguments.direct, arguments.queue_arn)
    for bucket, raw in ((arguments.wrapped, "false"), (arguments.raw, "true")):
        topic = sns.create_topic(Name=bucket)["TopicArn"]
        attributes = {"RawMessageDelivery": raw}
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arguments.queue_arn, Attributes=attributes)
        rule = {"Id": "stocktake", "TopicArn": topic, "Events": bed.FAMILIES}
        s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"TopicConfigurations": [rule]}
        )
    s3.put_bucket_notification_configuration(
        Bucket=arguments.bridge, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    events.put_rule(Name="stocktake", EventPattern=json.dumps({"source": ["aws.s3"]}))
    events.put_targets(Rule="stocktake", Targets=[{"Id": "queue", "Arn": arguments.queue_arn}])


if __name__ == "__main__":
    main()
