"""Does random things to a bucket, in any versioning state: the same seed does the same things.

Prints one line for each operation. Nothing else may write to the prefix meanwhile.
"""

import argparse
import os
import random
import time

import bed

# Few, so that operations meet; and such as break a decoder that is nearly right.
KEYS = [
    "plain.txt",
    "a b+c%.txt",
    "a+b",
    "a%2Bb",
    "数据/ü.bam",
    "folder/",
    "folder//twice",
    "'\"<&>\\.txt",
    "\U0001f9ec after \uffee.vcf",
    " spaces ",
]
PART_BYTES = 5 * 1024 * 1024
OPERATIONS_BETWEEN_TRIMS = 100


class Workload:
    """The operations, on one bucket and prefix."""

    def __init__(self, s3, bucket, prefix, seed):
        self.s3 = s3
        self.bucket = bucket
        self.prefix = prefix
        self.random = random.Random(seed)
        self.status = s3.get_bucket_versioning(Bucket=bucket).get("Status")

    def operations(self, switch):
        """(weight, operation), for the state that the bucket is in."""
        weighted = [
            (8, self.put),
            (2, self.put_the_same),
            (3, self.copy),
            (2, self.multipart),
            (5, self.delete),
            (2, self.delete_batch),
            (5, self.delete_version),
        ]
        if self.status:
            weighted.append((3, self.undelete))
            if switch:
                weighted.append((1, self.switch))
        return weighted

    def step(self, switch=False):
        """One operation; what it was, in words."""
        weights, operations = zip(*self.operations(switch))
        return self.random.choices(operations, weights)[0]()

    def key(self):
        return self.prefix + self.random.choice(KEYS)

    def body(self):
        # The length, too, tells one content from another; zero is a length.
        return self.random.randbytes(self.random.choice([0, 1, 7, 100]))

    def put(self):
        key = self.key()
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=self.body())
        return f"put {key!r}"

    def put_the_same(self):
        key = self.key()
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=b"the same")
        return f"put the same {key!r}"

    def copy(self):
        source, target = self.key(), self.key()
        if source == target or not self.is_object(source):
            return self.put()
        self.s3.copy_object(Bucket=self.bucket, Key=target, CopySource={"Bucket": self.bucket, "Key": source})
        return f"copy {source!r} {target!r}"

    def multipart(self):
        key = self.key()
        # A second part now and then: such an entity tag ends in -2.
        bodies = [b"m" * PART_BYTES, b"end"] if self.random.random() < 0.2 else [self.body() + b"m"]
        upload(self.s3, self.bucket, key, bodies)
        return f"multipart {key!r} of {len(bodies)}"

    def delete(self):
        """Also of keys that are not there or are deleted already."""
        key = self.key()
        self.s3.delete_object(Bucket=self.bucket, Key=key)
        return f"delete {key!r}"

    def delete_batch(self):
        keys = sorted({self.key() for _ in range(3)})
        self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in keys]})
        return f"delete batch {keys!r}"

    def delete_version(self):
        """Any version or marker that is there."""
        key = self.key()
        versions = self.versions(key)
        if not versions:
            return self.delete()
        version_id = self.random.choice(versions)
        self.s3.delete_object(Bucket=self.bucket, Key=key, VersionId=version_id)
        return f"delete {key!r} version {version_id}"

    def undelete(self):
        """Takes away the marker that hides a key."""
        key = self.key()
        listed = bed.listed_versions(self.s3, self.bucket, key)
        for (name, version_id), version in listed.items():
            if name == key and version.is_latest and version.is_marker:
                self.s3.delete_object(Bucket=self.bucket, Key=key, VersionId=version_id)
                return f"undelete {key!r}"
        return self.delete()

    def switch(self):
        self.status = "Suspended" if self.status == "Enabled" else "Enabled"
        bed.set_versioning(self.s3, self.bucket, self.status)
        return f"versioning {self.status}"

    def versions(self, key):
        """The ids of a key's versions, in an order that does not depend on the ids: as they are listed."""
        return [version_id for name, version_id in bed.listed_versions(self.s3, self.bucket, key) if name == key]

    def trim(self, most):
        """Deletes any of the versions, until no more than so many are left."""
        found = list(bed.listed_versions(self.s3, self.bucket, self.prefix))
        surplus = self.random.sample(found, max(0, len(found) - most))
        if surplus:
            objects = [{"Key": key, "VersionId": version_id} for key, version_id in surplus]
            self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": objects})
        return f"trim {len(surplus)}"

    def is_object(self, key):
        return key in bed.listed_objects(self.s3, self.bucket, key)


def upload(s3, bucket, key, bodies):
    """A multipart upload, one part for each body."""
    place = {"Bucket": bucket, "Key": key}
    upload_id = s3.create_multipart_upload(**place)["UploadId"]
    parts = []
    for number, body in enumerate(bodies, 1):
        part = s3.upload_part(**place, UploadId=upload_id, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    return s3.complete_multipart_upload(**place, UploadId=upload_id, MultipartUpload={"Parts": parts})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", default=os.environ.get("AWS_ENDPOINT_URL"), help="default: AWS_ENDPOINT_URL")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--operations", type=int, default=100)
    parser.add_argument("--pause", type=float, default=0, metavar="SECONDS", help="after each operation")
    parser.add_argument("--most", type=int, metavar="VERSIONS", help="now and then delete what is more than that")
    parser.add_argument("--switch", action="store_true", help="also enable and suspend versioning, where it ever was")
    parser.add_argument("place", metavar="BUCKET[/PREFIX]")
    arguments = parser.parse_args()

    bucket, _, prefix = arguments.place.partition("/")
    workload = Workload(bed.client("s3", arguments.endpoint), bucket, prefix, arguments.seed)
    for number in range(1, arguments.operations + 1):
        print(number, workload.step(arguments.switch), flush=True)
        if arguments.most and number % OPERATIONS_BETWEEN_TRIMS == 0:
            print(number, workload.trim(arguments.most), flush=True)
        time.sleep(arguments.pause)


if __name__ == "__main__":
    main()
