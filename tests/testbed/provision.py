"""Makes buckets and one queue that they tell of every change. Prints the queue's URL.

A bucket that is there already is left as it is, but for its notifications.
"""

import argparse
import os

import bed

STATES = {"": None, "unversioned": None, "enabled": "Enabled", "suspended": "Suspended"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", default=os.environ.get("AWS_ENDPOINT_URL"), help="default: AWS_ENDPOINT_URL")
    parser.add_argument("--queue", default="stocktake", metavar="NAME")
    parser.add_argument("bucket", nargs="+", metavar="BUCKET[:unversioned|:enabled|:suspended]")
    arguments = parser.parse_args()

    s3 = bed.client("s3", arguments.endpoint)
    url, arn = bed.make_queue(bed.client("sqs", arguments.endpoint), arguments.queue)
    there = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    for word in arguments.bucket:
        name, _, state = word.partition(":")
        if state not in STATES:
            parser.error(f"{word}: the versioning state is one of {', '.join(filter(None, STATES))}")
        if name not in there:
            bed.make_bucket(s3, name, STATES[state])
        bed.notify(s3, name, arn)
    print(url)


if __name__ == "__main__":
    main()
