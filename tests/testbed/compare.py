"""Compares the catalog with buckets, as another S3 client than Stocktake lists them.

Prints each difference; exits with 1 if there is any, or if the catalog cannot be read.
"""

import argparse
import os
import sys
import time

import bed
import pg8000.exceptions

SECONDS_BETWEEN_TRIES = 0.1


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", default=os.environ.get("AWS_ENDPOINT_URL"), help="default: AWS_ENDPOINT_URL")
    parser.add_argument("--database", default=os.environ.get("DATABASE_URL"), help="default: DATABASE_URL")
    parser.add_argument("--wait", type=float, default=0, metavar="SECONDS", help="try again until they are equal")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=10,
        metavar="SECONDS",
        help="how far a date may be from S3's, as events do not tell it; 0 after a run: exact, and storage classes too",
    )
    parser.add_argument("place", nargs="+", metavar="BUCKET[/PREFIX]")
    arguments = parser.parse_args()
    if not arguments.database:
        parser.error("no database: --database or DATABASE_URL")

    s3 = bed.client("s3", arguments.endpoint)
    places = [place.partition("/")[::2] for place in arguments.place]
    deadline = time.monotonic() + arguments.wait
    while True:
        found = differences(s3, arguments.database, places, arguments.tolerance)
        if not found or time.monotonic() >= deadline:
            break
        time.sleep(SECONDS_BETWEEN_TRIES)

    print("\n".join(found) if found else f"equal: {', '.join(arguments.place)}")
    sys.exit(1 if found else 0)


def differences(s3, database, places, seconds):
    try:
        catalog = bed.connect(database)
    except (pg8000.exceptions.Error, OSError) as error:
        return [f"the database does not answer: {error}"]
    try:
        return [each for place in places for each in bed.differences(s3, catalog, *place, seconds=seconds)]
    except pg8000.exceptions.DatabaseError as error:
        # Before the daemon's first start there is no schema.
        return [f"the catalog cannot be read: {error.args[0].get('M', error)}"]
    finally:
        catalog.close()


if __name__ == "__main__":
    main()
