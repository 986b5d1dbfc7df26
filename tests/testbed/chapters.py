"""The demo, chapter by chapter."""

import time

import bed
import show

SECONDS_TO_CONNECT = 60
PART_BYTES = 5 * 1024 * 1024

SPACES = "a b+c%.txt"
FOREIGN = "数据/ü.bam"
HELLO = ("hello.txt", b"hello\n")
WORLD = ("world.txt", b"hello, world\n")


def fill(s3, queue_arn):
    """Buckets of every kind, with a past; from then on they tell the queue."""

    def put(bucket, key, body):
        s3.put_object(Bucket=bucket, Key=key, Body=body)

    bed.make_bucket(s3, "genomics", "Enabled")
    for number in range(1, 8):
        put("genomics", f"runs/2026-{number:02}/sample.vcf", b"v" * number)
    put("genomics", "notes.txt", b"first")
    put("genomics", "notes.txt", b"second")
    put("genomics", "gone.txt", b"x")
    s3.delete_object(Bucket="genomics", Key="gone.txt")

    bed.make_bucket(s3, "archive", "Enabled")
    put("archive", "ledger.csv", b"one")
    put("archive", "ledger.csv", b"one,two")
    bed.set_versioning(s3, "archive", "Suspended")
    put("archive", "ledger.csv", b"one,two,three")
    put("archive", "old/1999.csv", b"1999")

    bed.make_bucket(s3, "scratch")
    for key in ("alpha/a.txt", "alpha/b/c.txt", "alpha/d.txt", "beta/a.txt"):
        put("scratch", f"projects/{key}", key.encode())

    for bucket in ("genomics", "archive", "scratch"):
        bed.notify(s3, bucket, queue_arn)


def connect(story, daemon):
    show.heading("Three buckets that already hold objects")
    show.say(daemon.config.read_text().rstrip())
    show.command(f"stocktake --config {daemon.config.name} serve")
    began = time.monotonic()
    daemon.start()
    wait_for_listings(story, daemon)
    show.say(f"Listed after {time.monotonic() - began:.1f} s.\n")
    query(story, "select bucket, prefix, versioning, complete_through from catalog.buckets order by bucket")
    query(
        story,
        "select bucket, key, version_id, size, is_latest, is_delete_marker from catalog.object_versions "
        "where key in ('notes.txt', 'gone.txt', 'ledger.csv') or bucket = 'scratch' "
        "order by bucket, key, last_modified desc",
    )
    story.must_be_equal()


def wait_for_listings(story, daemon):
    """Until every bucket was listed once."""
    deadline = time.monotonic() + SECONDS_TO_CONNECT
    while True:
        daemon.check()
        # Before the daemon has made its schema there is nothing to ask.
        there = story.catalog.run("select to_regclass('catalog.buckets') is not null")[0][0]
        listed = "select count(*) from catalog.buckets where complete_through is not null"
        if there and story.catalog.run(listed)[0][0] == len(story.places):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"not every bucket was listed within {SECONDS_TO_CONNECT} s")
        time.sleep(0.05)


def versioned(story):
    show.heading("A versioned bucket: genomics")
    at = {"Bucket": "genomics", "Key": SPACES}
    first = story.call("put_object", **at, File=HELLO)
    story.call("put_object", **at, File=WORLD)
    story.call("copy_object", Bucket="genomics", Key=FOREIGN, CopySource=f"genomics/{SPACES}")
    story.upload("genomics", "runs/reads.bam", "reads.bam", [b"r" * PART_BYTES, b"the rest"])
    markers = [story.call("delete_object", **at)["VersionId"], story.call("delete_object", **at)["VersionId"]]
    story.call("delete_object", Bucket="genomics", Key="never there.txt")
    undelete = [{"Key": SPACES, "VersionId": marker} for marker in markers]
    story.call("delete_objects", [SPACES], Bucket="genomics", Delete={"Objects": undelete})
    story.call("delete_object", **at, VersionId=first["VersionId"])
    story.call("delete_objects", [FOREIGN, "notes.txt"], Bucket="genomics", Delete=naming(FOREIGN, "notes.txt"))
    story.must_be_equal()


def suspended(story):
    show.heading("A bucket whose versioning is suspended: archive")
    at = {"Bucket": "archive", "Key": "ledger.csv"}
    story.call("put_object", **at, File=HELLO)
    story.call("delete_object", **at)
    story.call("delete_object", **at, VersionId="null")
    story.call("delete_object", **at, VersionId=oldest(story, "archive", "ledger.csv"))
    story.upload("archive", FOREIGN, "reads.bam", [b"r" * PART_BYTES, b"the rest"])
    story.call("delete_object", Bucket="archive", Key=FOREIGN)
    story.call("put_object", Bucket="archive", Key=FOREIGN, File=WORLD)

    # The null version becomes one among others, and keeps its name.
    show.command("aws s3api put-bucket-versioning --bucket archive --versioning-configuration Status=Enabled")
    bed.set_versioning(story.s3, "archive", "Enabled")
    story.call("put_object", Bucket="archive", Key=FOREIGN, File=HELLO)
    show.command("aws s3api put-bucket-versioning --bucket archive --versioning-configuration Status=Suspended")
    bed.set_versioning(story.s3, "archive", "Suspended")
    story.call("put_object", Bucket="archive", Key=FOREIGN, File=WORLD)
    story.must_be_equal()


def oldest(story, bucket, key):
    versions = bed.listed_versions(story.s3, bucket, key)
    return min(versions, key=lambda name: versions[name].last_modified)[1]


def unversioned(story):
    show.heading("An unversioned bucket, followed below projects/alpha/: scratch")
    at = {"Bucket": "scratch", "Key": f"projects/alpha/{SPACES}"}
    story.call("put_object", **at, File=HELLO)
    story.call("put_object", **at, File=WORLD)
    copy = f"projects/alpha/{FOREIGN}"
    story.call("copy_object", Bucket="scratch", Key=copy, CopySource=f"scratch/{at['Key']}")
    story.upload("scratch", copy, "reads.bam", [b"r" * PART_BYTES, b"the rest"])
    story.call("delete_object", **at)
    story.call("put_object", Bucket="scratch", Key="projects/beta/not-ours.txt", File=HELLO)
    gone = ["projects/alpha/a.txt", copy]
    story.call("delete_objects", gone, Bucket="scratch", Delete=naming(*gone))
    story.must_be_equal()


def lose_events(story, daemon, sqs, queue):
    show.heading("Events are lost")
    status, seconds = daemon.stop()
    show.say(f"The daemon is stopped with SIGTERM: exit status {status} after {seconds:.1f} s. Meanwhile:\n")
    if status != 0:
        story.fail(f"stocktake serve ended with status {status} on SIGTERM")
    s3 = story.s3
    only = {"Bucket": "genomics", "Key": "runs/2026-02/sample.vcf"}
    only["VersionId"] = oldest(story, only["Bucket"], only["Key"])
    doings = [
        ("put", s3.put_object, {"Bucket": "genomics", "Key": "lost/new.vcf", "Body": b"new"}),
        ("overwrite", s3.put_object, {"Bucket": "genomics", "Key": SPACES, "Body": b"newer"}),
        ("delete", s3.delete_object, {"Bucket": "genomics", "Key": "runs/2026-01/sample.vcf"}),
        ("delete version", s3.delete_object, only),
        ("overwrite", s3.put_object, {"Bucket": "archive", "Key": "old/1999.csv", "Body": b"1999, corrected"}),
        ("overwrite", s3.put_object, {"Bucket": "scratch", "Key": "projects/alpha/b/c.txt", "Body": b"other"}),
        ("delete", s3.delete_object, {"Bucket": "scratch", "Key": "projects/alpha/d.txt"}),
    ]
    for what, operation, parameters in doings:
        operation(**parameters)
        show.say(f"  {what:16}{parameters['Bucket']}/{parameters['Key']}")
    wait_for_messages(sqs, queue, len(doings))
    show.command("aws sqs purge-queue --queue-url " + queue)
    sqs.purge_queue(QueueUrl=queue)
    show.say(f"{len(doings)} events are gone. The daemon is started again, and cannot know:\n")
    daemon.start()
    found = story.compare(wait=0)
    # What is wrong with the versions is enough to see.
    for each in (each for each in found if " among the objects: " not in each):
        show.say(show.styled(f"  {each}", "yellow"))
    if not found:
        story.fail("events were lost and the catalog did not differ: this demo shows nothing")


def wait_for_messages(sqs, queue, number, seconds=10):
    deadline = time.monotonic() + seconds
    # The last request of the stopped daemon may have taken some: they count, and are purged, too.
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    while True:
        counts = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        if sum(int(counts[name]) for name in names) >= number:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{number} events did not arrive in the queue within {seconds} s")
        time.sleep(0.02)


def repair(story, daemon):
    show.heading("A listing finds and repairs it")
    last = story.catalog.run("select coalesce(max(run_id), 0) from catalog.reconciliations")[0][0]
    show.command(f"stocktake --config {daemon.config.name} reconcile")
    began = time.monotonic()
    output, status = daemon.run("reconcile")
    show.say(output)
    show.say(f"Exit status {status} after {time.monotonic() - began:.1f} s.\n")
    if status != 0:
        story.fail(f"stocktake reconcile ended with status {status}")
    show.say("The drift ledger:")
    found = query(
        story,
        "select run_id, bucket, key, version_id, kind from catalog.drift where run_id > :last "
        "order by bucket, key, version_id",
        last=last,
    )
    if not found:
        story.fail("the drift ledger says nothing of what was lost")
    query(
        story,
        "select run_id, bucket, status, keys_listed, missing, stale, ghost from catalog.reconciliations "
        "where run_id > :last order by run_id",
        last=last,
    )
    daemon.check()
    # A listing tells every date and storage class exactly.
    story.must_be_equal(seconds=0)


def query(story, sql, **parameters):
    """Shows what an operator's query gives."""
    rows = story.catalog.run(sql, **parameters)
    columns = [column["name"] for column in story.catalog.columns]
    shown = [(" ", [short(name, value) for name, value in zip(columns, row)]) for row in rows]
    for name, value in parameters.items():
        sql = sql.replace(f":{name}", str(value))
    show.table(sql, columns, shown)
    show.say("")
    return rows


def short(name, value):
    if name == "version_id":
        return show.short(value)
    return value.isoformat(sep=" ", timespec="milliseconds") if hasattr(value, "isoformat") else value


def naming(*keys):
    return {"Objects": [{"Key": key} for key in keys]}
