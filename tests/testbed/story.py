"""What the demo does to the buckets, and how it watches the catalog follow."""

import json
import re
import shlex
import time

import bed
import show
import workload

# Lateness that an operator would notice is a failure.
SECONDS_TO_FOLLOW = 15
SECONDS_BETWEEN_LOOKS = 0.002
# What needs no change of rows brings none; this long we wait for the first one.
SECONDS_TO_STIR = 0.1
# By then an event has decided what it can; a change that is still to come waits for S3's answer.
SECONDS_TO_DOUBT = 0.5
# An event's time stands in for S3's date until a listing tells it.
SECONDS_APART = 10

ROWS = """
select 'objects', key, version_id, size, etag, null, null from catalog.objects
where bucket = :bucket and key = any(cast(:keys as text[]))
union all
select 'object_versions', key, version_id, size, etag, is_latest, is_delete_marker from catalog.object_versions
where bucket = :bucket and key = any(cast(:keys as text[]))
"""
DOUBTS = "select count(*) from catalog.rechecks where bucket = :bucket and key = any(cast(:keys as text[]))"
COLUMNS = {
    "objects": ["key", "version_id", "size", "etag"],
    "object_versions": ["key", "version_id", "size", "etag", "is_latest", "is_delete_marker"],
}


class Story:
    """One telling: the buckets, the catalog, and what went wrong so far."""

    def __init__(self, s3, catalog, places):
        self.s3 = s3
        self.catalog = catalog
        self.places = places
        # In ms: of what its event decided, and of what S3 had to be asked about.
        self.lags = []
        self.lags_in_doubt = []
        self.wrong = []
        self.comparisons = 0

    def call(self, operation, keys=None, **parameters):
        """An S3 call, shown as the AWS CLI's, and what it does to the rows of its key. Gives what the call returned."""
        # The CLI reads bodies from files.
        file = parameters.pop("File", None)
        shown = {**parameters, "Body": file[0]} if file else parameters
        sent = {**parameters, "Body": file[1]} if file else parameters
        options = " ".join(f"--{kebab(name)} {word(value)}" for name, value in shown.items())
        return self.follow(
            f"aws s3api {kebab(operation)} {options}",
            lambda: getattr(self.s3, operation)(**sent),
            parameters["Bucket"],
            keys or [parameters["Key"]],
        )

    def upload(self, bucket, key, file, bodies):
        """A multipart upload: the CLI does one by itself when the file is large."""
        line = f"aws s3 cp {file} {shlex.quote(f's3://{bucket}/{key}')}   # in {len(bodies)} parts"
        self.follow(line, lambda: workload.upload(self.s3, bucket, key, bodies), bucket, [key])

    def follow(self, line, action, bucket, keys):
        """Does it, waits until the catalog shows it, and prints the rows that changed."""
        before = self.rows(bucket, keys)
        answer = action()
        returned = time.monotonic()
        rows, changed = before, returned
        expected, doubted = None, False
        while time.monotonic() < returned + SECONDS_TO_FOLLOW:
            now = self.rows(bucket, keys)
            if now != rows:
                rows, changed = now, time.monotonic()
            # Listing takes longer than looking, and would be part of what is measured.
            if expected is None and (rows != before or time.monotonic() > returned + SECONDS_TO_STIR):
                expected = self.listed_rows(bucket, keys)
            if rows == expected:
                break
            if not doubted and time.monotonic() > returned + SECONDS_TO_DOUBT:
                doubted = self.catalog.run(DOUBTS, bucket=bucket, keys=keys)[0][0] > 0
            time.sleep(SECONDS_BETWEEN_LOOKS)

        lag = ""
        if rows != before:
            milliseconds = round((changed - returned) * 1000)
            (self.lags_in_doubt if doubted else self.lags).append(milliseconds)
            why = ", in doubt: S3 was asked" if doubted else ""
            lag = show.styled(f"   {milliseconds} ms{why}", "yellow" if doubted else "green")
        show.command(line, lag)
        print_changes(before, rows)
        if rows != expected:
            self.fail(f"{bucket}: after {SECONDS_TO_FOLLOW} s the catalog does not show what S3 lists of {keys}")
        return answer

    def rows(self, bucket, keys):
        """{(relation, what a row is known by): its columns}, as the catalog has them."""
        found = {}
        for relation, *row in self.catalog.run(ROWS, bucket=bucket, keys=keys):
            keep(found, relation, row)
        return found

    def listed_rows(self, bucket, keys):
        """The same, as they should be."""
        expected = {}
        for key in keys:
            if not key.startswith(self.places[bucket]):
                continue
            for (name, version_id), version in bed.listed_versions(self.s3, bucket, key).items():
                if name != key:
                    continue
                row = [key, version_id, version.size, version.etag, version.is_latest, version.is_marker]
                keep(expected, "object_versions", row)
                if version.is_latest and not version.is_marker:
                    keep(expected, "objects", row)
        return expected

    def compare(self, seconds=SECONDS_APART, wait=SECONDS_TO_FOLLOW):
        """The whole catalog against what boto3 lists. Says so, and gives the differences."""
        deadline = time.monotonic() + wait
        while True:
            found = self.differences(seconds)
            if not found or time.monotonic() >= deadline:
                break
            time.sleep(0.1)
        for bucket, prefix in self.places.items():
            versions = bed.listed_versions(self.s3, bucket, prefix)
            objects = sum(version.is_latest and not version.is_marker for version in versions.values())
            markers = sum(version.is_marker for version in versions.values())
            counts = f"objects {objects}, versions {len(versions) - markers}, delete markers {markers}"
            wrong = [each for each in found if each.startswith(f"{bucket}: ")]
            if wrong:
                show.bad(f"{bucket}/{prefix}: {len(wrong)} differences from what boto3 lists ({counts})")
            else:
                show.good(f"{bucket}/{prefix}: the catalog is what boto3 lists ({counts})")
        return found

    def differences(self, seconds):
        found = []
        for bucket, prefix in self.places.items():
            found += bed.differences(self.s3, self.catalog, bucket, prefix, seconds)
            beyond = "select count(*) from catalog.object_versions where bucket = :b and not starts_with(key, :p)"
            count = self.catalog.run(beyond, b=bucket, p=prefix)[0][0]
            if count:
                found.append(f"{bucket}: {count} versions in the catalog are not below {prefix}")
        return found

    def must_be_equal(self, seconds=SECONDS_APART):
        self.comparisons += 1
        for each in self.compare(seconds):
            self.fail(each)

    def fail(self, what):
        self.wrong.append(what)
        show.bad(what)


def keep(rows, relation, row):
    """A key has one row of objects, and one of object_versions for each version."""
    columns = COLUMNS[relation]
    identity = row[:1] if relation == "objects" else row[:2]
    rows[relation, *identity] = row[: len(columns)]


def print_changes(before, after):
    for relation, columns in COLUMNS.items():
        changes = []
        for name in sorted(before.keys() | after.keys()):
            old, new = before.get(name), after.get(name)
            if name[0] == relation and old != new:
                sign = "+" if old is None else "-" if new is None else "~"
                key, version_id, size, etag, *flags = new or old
                changes.append((sign, [key, show.short(version_id), size, show.short(etag), *flags]))
        if changes:
            show.table(f"catalog.{relation}", columns, changes)


def kebab(name):
    """put_object, VersionId: as the AWS CLI spells them."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).replace("_", "-").lower()


def word(value):
    return shlex.quote(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
