"""The two sides that must agree: a bucket, as boto3 lists it, and the catalog in Postgres.

Nothing here knows Stocktake's code. What it reads of the catalog are the public views.
"""

import json
import os
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
import pg8000.native
from botocore.config import Config
from servers import REGION

FAMILIES = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"]
# How long a message stays with a daemon that died. Short: a test may not wait.
SECONDS_INVISIBLE = 30


def client(service, endpoint):
    """A boto3 client; credentials come from the environment, `test` where there are none."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=os.environ.get("AWS_REGION", REGION),
        aws_access_key_id=os.environ.get("AWS_ACCESS_KEY_ID", "test"),
        aws_secret_access_key=os.environ.get("AWS_SECRET_ACCESS_KEY", "test"),
        aws_session_token=os.environ.get("AWS_SESSION_TOKEN"),
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 3, "mode": "standard"}),
    )


# A bucket that tells a queue


def make_queue(sqs, name):
    """The URL and the ARN of a new queue that S3 may send to."""
    url = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": str(SECONDS_INVISIBLE)})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = {"Version": "2012-10-17", "Statement": [allowed]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    return url, arn


def make_bucket(s3, name, versioning=None):
    """Makes a bucket: never versioned, `Enabled` or `Suspended`."""
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})
    if versioning:
        set_versioning(s3, name, versioning)


def set_versioning(s3, bucket, status):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


def notify(s3, bucket, queue_arn):
    """From now on the bucket tells the queue of everything a catalog needs to know."""
    rule = {"Id": "stocktake", "QueueArn": queue_arn, "Events": FAMILIES}
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [rule]}
    )


# What is there


@dataclass(frozen=True)
class Version:
    """One version or delete marker, with what both sides know of it."""

    is_latest: bool
    is_marker: bool
    etag: str | None
    size: int | None
    storage_class: str | None
    last_modified: object


def listed_versions(s3, bucket, prefix=""):
    """{(key, version id): Version}, as S3 lists it."""
    found = {}
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Versions", []):
            found[entry["Key"], entry["VersionId"]] = Version(
                is_latest=entry["IsLatest"],
                is_marker=False,
                etag=entry["ETag"].strip('"'),
                size=entry["Size"],
                storage_class=entry.get("StorageClass"),
                last_modified=entry["LastModified"],
            )
        for entry in page.get("DeleteMarkers", []):
            found[entry["Key"], entry["VersionId"]] = Version(
                entry["IsLatest"], True, None, None, None, entry["LastModified"]
            )
    return found


def listed_objects(s3, bucket, prefix=""):
    """{key: (etag, size)}: what a plain listing shows."""
    found = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            found[entry["Key"]] = (entry["ETag"].strip('"'), entry["Size"])
    return found


# What the catalog says


def connect(url):
    """A connection to Postgres that commits every statement."""
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    host = options.get("host") or unquote(parts.hostname or "localhost")
    port = int(options.get("port") or parts.port or 5432)
    socket = {"unix_sock": f"{host}/.s.PGSQL.{port}"} if host.startswith("/") else {"host": host, "port": port}
    return pg8000.native.Connection(
        user=unquote(parts.username or options.get("user", "postgres")),
        password=unquote(parts.password) if parts.password else os.environ.get("PGPASSWORD"),
        database=unquote(parts.path.lstrip("/")) or "postgres",
        ssl_context=True if options.get("sslmode", "").startswith(("require", "verify")) else None,
        **socket,
    )


def catalog_versions(catalog, bucket, prefix=""):
    """{(key, version id): Version}, as the catalog has it."""
    rows = catalog.run(
        "select key, version_id, is_latest, is_delete_marker, etag, size, storage_class, last_modified "
        "from catalog.object_versions where bucket = :bucket and starts_with(key, :prefix)",
        bucket=bucket,
        prefix=prefix,
    )
    return {(key, version_id): Version(*rest) for key, version_id, *rest in rows}


def catalog_objects(catalog, bucket, prefix=""):
    """{key: (etag, size)}: what the catalog shows now."""
    rows = catalog.run(
        "select key, etag, size from catalog.objects where bucket = :bucket and starts_with(key, :prefix)",
        bucket=bucket,
        prefix=prefix,
    )
    return {key: (etag, size) for key, etag, size in rows}


# Whether they agree


def differences(s3, catalog, bucket, prefix="", seconds=0.0):
    """Every difference between a bucket and the catalog, as sentences; none if they are equal.

    An event does not tell S3's own date of an object or its storage class: until a listing does,
    the event's time stands in for the date, and the storage class is not known. So dates may be
    `seconds` apart, and only with 0 must the storage class be there.
    """
    versions = listed_versions(s3, bucket, prefix), catalog_versions(catalog, bucket, prefix)
    objects = listed_objects(s3, bucket, prefix), catalog_objects(catalog, bucket, prefix)
    found = [*compare_versions(*versions, seconds), *compare_objects(*objects)]
    return [f"{bucket}: {each}" for each in found]


def compare_versions(listed, catalogued, seconds=0.0):
    """Yields a sentence for each difference."""
    for key, version_id in sorted(listed.keys() | catalogued.keys()):
        ours, theirs = catalogued.get((key, version_id)), listed.get((key, version_id))
        name = f"{key!r} version {version_id}:"
        if ours is None:
            yield f"{name} not in the catalog"
        elif theirs is None:
            yield f"{name} in the catalog only"
        else:
            for field in unlike(ours, theirs, seconds):
                yield f"{name} {field}: S3 says {getattr(theirs, field)}, the catalog {getattr(ours, field)}"


def compare_objects(listed, shown):
    """The same for what a plain listing shows."""
    for key in sorted(listed.keys() | shown.keys()):
        if listed.get(key) != shown.get(key):
            yield f"{key!r} among the objects: S3 says {listed.get(key)}, the catalog {shown.get(key)}"


def unlike(ours, theirs, seconds):
    """The names of the fields in which the catalog's version and S3's differ."""
    # Of a marker S3 tells no more than that it is there.
    fields = ["is_latest", "is_marker"] if theirs.is_marker else ["is_latest", "is_marker", "etag", "size"]
    for field in fields:
        if getattr(ours, field) != getattr(theirs, field):
            yield field
    unknown = ours.storage_class is None and seconds > 0
    if not theirs.is_marker and not unknown and ours.storage_class != theirs.storage_class:
        yield "storage_class"
    dates = ours.last_modified, theirs.last_modified
    if None in dates or abs((dates[0] - dates[1]).total_seconds()) > seconds:
        yield "last_modified"
