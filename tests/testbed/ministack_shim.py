"""ministack, an emulator of S3 and SQS, with the one event that it does not send.

S3 tells of every delete marker. ministack is silent about one on a key that is already deleted or
that never existed. All of its delete markers are made by one private function, which is wrapped
here; so its version is pinned, and test_shim.py fails if the event stops coming.
"""

import os

# It would listen on every address.
os.environ.setdefault("BIND_HOST", "127.0.0.1")
os.environ.setdefault("MINISTACK_HOST", "127.0.0.1")

import ministack.app
from ministack.services import s3

record_delete_marker = s3._record_delete_marker


def record_and_tell(bucket, key, prior, *rest, **named):
    marker = record_delete_marker(bucket, key, prior, *rest, **named)
    # Where there was an object, ministack tells of the marker itself.
    if prior is None:
        event = "s3:ObjectRemoved:DeleteMarkerCreated"
        s3._fire_s3_event_async(bucket, key, event, deletion_type="Delete Marker Created", version_id=marker)
    return marker


s3._record_delete_marker = record_and_tell

if __name__ == "__main__":
    ministack.app.main()
