"""The emulator tells of every delete marker, as S3 does. Run it beside one: run -- python test_shim.py"""

import json
import os
import sys
import time
import unittest
import uuid

import bed

ENDPOINT = os.environ.get("TESTBED_ENDPOINT")
SECONDS_TO_ARRIVE = 5


class DeleteMarkers(unittest.TestCase):
    def setUp(self):
        self.s3 = bed.client("s3", ENDPOINT)
        self.sqs = bed.client("sqs", ENDPOINT)
        self.name = f"shim-{uuid.uuid4()}"
        self.queue, self.arn = bed.make_queue(self.sqs, self.name)
        self.addCleanup(self.sqs.delete_queue, QueueUrl=self.queue)

    def bucket(self, versioning):
        bed.make_bucket(self.s3, self.name, versioning)
        bed.notify(self.s3, self.name, self.arn)
        self.expect(["s3:TestEvent"])

    def expect(self, names):
        """These events arrive, in any order, and no others. The version ids they tell."""
        records, deadline = [], time.monotonic() + SECONDS_TO_ARRIVE
        while len(records) < len(names) and time.monotonic() < deadline:
            records += self.receive(wait=1)
        # One more look, for what should not be there.
        time.sleep(0.1)
        records += self.receive(wait=0)
        self.assertEqual(sorted(names), sorted(record["eventName"] for record in records))
        return {record["s3"]["object"].get("versionId") for record in records if "s3" in record}

    def receive(self, wait):
        received = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10, WaitTimeSeconds=wait)
        for message in received.get("Messages", []):
            self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
            body = json.loads(message["Body"])
            yield from body.get("Records", [{"eventName": body.get("Event")}])

    def delete(self, key):
        return self.s3.delete_object(Bucket=self.name, Key=key)["VersionId"]

    def test_on_an_object_the_event_comes_once(self):
        self.bucket("Enabled")
        self.s3.put_object(Bucket=self.name, Key="there", Body=b"x")
        self.expect(["ObjectCreated:Put"])
        marker = self.delete("there")
        self.assertEqual({marker}, self.expect(["ObjectRemoved:DeleteMarkerCreated"]))

    def test_on_a_key_that_never_existed(self):
        self.bucket("Enabled")
        marker = self.delete("never")
        self.assertEqual({marker}, self.expect(["ObjectRemoved:DeleteMarkerCreated"]))

    def test_on_a_deleted_key(self):
        self.bucket("Enabled")
        markers = {self.delete("twice"), self.delete("twice")}
        self.assertEqual(2, len(markers))
        self.assertEqual(markers, self.expect(["ObjectRemoved:DeleteMarkerCreated"] * 2))

    def test_in_a_suspended_bucket(self):
        self.bucket("Suspended")
        self.assertEqual({self.delete("never")}, self.expect(["ObjectRemoved:DeleteMarkerCreated"]))

    def test_in_a_batch(self):
        self.bucket("Enabled")
        keys = [{"Key": "one"}, {"Key": "two"}]
        done = self.s3.delete_objects(Bucket=self.name, Delete={"Objects": keys})["Deleted"]
        markers = {each["DeleteMarkerVersionId"] for each in done}
        self.assertEqual(markers, self.expect(["ObjectRemoved:DeleteMarkerCreated"] * 2))

    def test_a_removed_marker_is_told_of_as_ever(self):
        self.bucket("Enabled")
        marker = self.delete("never")
        self.expect(["ObjectRemoved:DeleteMarkerCreated"])
        self.s3.delete_object(Bucket=self.name, Key="never", VersionId=marker)
        self.assertEqual({marker}, self.expect(["ObjectRemoved:Delete"]))


if __name__ == "__main__":
    if not ENDPOINT:
        sys.exit("no emulator: tests/testbed/run -- python tests/testbed/test_shim.py")
    unittest.main()
