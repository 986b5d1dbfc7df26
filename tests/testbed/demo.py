"""Shows Stocktake at work: buckets of every kind, changed in every way, and the catalog that follows.

Everything it runs on is its own and goes with it: a Postgres, an S3 and SQS, the daemon. With
--keep they stay until --stop.
"""

import argparse
import contextlib
import os
import statistics
import sys
import time

import chapters
import pg8000.exceptions
import prepare
import servers
import show
from bed import client, connect, make_queue
from daemon import Daemon, build
from keep import keep, stop
from runs import run_folder, stoppable
from story import Story

QUEUE = "stocktake"
# A bucket of each kind, and the prefix below which it is followed.
PLACES = {"genomics": "", "archive": "", "scratch": "projects/alpha/"}


def main():
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    parser.add_argument("--stop", action="store_true", help="stop what --keep left running")
    arguments = parser.parse_args()
    try:
        with stoppable():
            if arguments.stop:
                sys.exit(stop())
            binary = build()
            sys.exit(keep(lambda leave: demo(binary, leave)) if arguments.keep else demo(binary))
    except prepare.Unprepared as missing:
        sys.exit(f"demo: {missing}")


def demo(binary, leave=None):
    """The exit status. `leave`, if given, is called at the end while everything still runs."""
    with contextlib.ExitStack() as bed:
        folder = bed.enter_context(run_folder(prepare.home()))
        show.heading("A Postgres, an S3 and an SQS of our own")
        began = time.monotonic()
        database, programs = bed.enter_context(servers.postgres(folder))
        endpoint = bed.enter_context(servers.emulator(folder))
        show.say(f"Postgres  {database}   ({programs})\nS3, SQS   {endpoint}")

        s3, sqs = client("s3", endpoint), client("sqs", endpoint)
        queue, arn = make_queue(sqs, QUEUE)
        chapters.fill(s3, arn)

        daemon = Daemon(binary, folder, database, endpoint, queue, PLACES)
        bed.callback(daemon.stop)
        catalog = connect(database)
        bed.callback(catalog.close)
        story = Story(s3, catalog, PLACES)
        try:
            tell(story, daemon, sqs, queue)
        except Exception as error:
            # What the daemon says is gone with its folder.
            show.say(f"\nThe daemon's last lines:\n{daemon.log()}")
            raise prepare.Unprepared(f"broke off: {describe(error)}") from error
        status = summary(story, time.monotonic() - began)
        if status and daemon.log():
            show.say(f"\nThe daemon's last lines:\n{daemon.log()}")
        if leave:
            print_connections(database, programs, endpoint, daemon)
            leave(folder, status)
        return status


def tell(story, daemon, sqs, queue):
    chapters.connect(story, daemon)
    chapters.versioned(story)
    chapters.suspended(story)
    chapters.unversioned(story)
    chapters.lose_events(story, daemon, sqs, queue)
    chapters.repair(story, daemon)


def summary(story, seconds):
    show.heading("Summary")
    if story.lags:
        show.say(f"{len(story.lags)} changes seen in the catalog: {spread(story.lags)}")
        show.say("  (of which the emulator, which looks into its queue every 100 ms, takes up to 100)")
    if story.lags_in_doubt:
        show.say(f"{len(story.lags_in_doubt)} more came too soon after a listing to tell which was first, and S3 was")
        show.say(f"  asked about the key: {spread(story.lags_in_doubt)}")
    show.say(f"{story.comparisons} comparisons of everything with a listing of another S3 client's")
    if story.wrong:
        show.bad(f"{len(story.wrong)} times the catalog was not the bucket:")
        for each in story.wrong:
            show.say(f"  {each}")
        return 1
    show.good(f"the catalog was the bucket whenever it had to be ({seconds:.0f} s)")
    return 0


def spread(milliseconds):
    return f"after {round(statistics.median(milliseconds))} ms in the median, {max(milliseconds)} ms at most"


def describe(error):
    if isinstance(error, pg8000.exceptions.DatabaseError) and isinstance(error.args[0], dict):
        return error.args[0].get("M", error)
    return f"{type(error).__name__}: {error}"


def print_connections(database, programs, endpoint, daemon):
    environment = " ".join(f"{name}=test" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    show.heading("Still running")
    show.say(
        f"""The catalog:
  {programs}/psql '{database}' -c 'table catalog.objects'
The buckets, with any S3 client:
  export {environment} AWS_DEFAULT_REGION={servers.REGION}
  aws --endpoint-url {endpoint} s3 cp README.md s3://genomics/readme.md
  aws --endpoint-url {endpoint} s3api list-object-versions --bucket genomics
The daemon:
  {daemon.binary} --config {daemon.config} status
  curl {daemon.admin}/metrics
  tail -f {daemon.log_file}
To stop all of it:
  make demo-stop"""
    )


if __name__ == "__main__":
    os.umask(0o022)
    main()
