"""Runs a command beside a Postgres and an S3 and SQS of its own. See `run`."""

import argparse
import contextlib
import os
import signal
import subprocess
import sys

import prepare
import servers
from runs import SIGNALLED, run_folder, stoppable

SECONDS_TO_STOP = 30


def main():
    parser = argparse.ArgumentParser(prog="run", description=__doc__)
    parser.add_argument("--auth", action="store_true", help="enforce IAM, bucket and queue policies")
    parser.add_argument("--bench", action="store_true", help="a Postgres that loses nothing, and no emulator")
    parser.add_argument("command", nargs="+", help="after --")
    arguments = parser.parse_args()
    try:
        with stoppable(), contextlib.ExitStack() as bed:
            environment = start_for_bench(bed) if arguments.bench else start(bed, arguments.auth)
            sys.exit(run(arguments.command, environment))
    except prepare.Unprepared as missing:
        sys.exit(f"testbed: {missing}")


def start(bed, auth):
    """Starts the servers; gives the environment that leads to them."""
    folder = bed.enter_context(run_folder(prepare.home()))
    endpoint = bed.enter_context(servers.emulator(folder, auth))
    return {
        **servers.clean_environment(),
        **servers.aws_environment(endpoint),
        "TESTBED_ENDPOINT": endpoint,
        "TESTBED_PYTHON": sys.executable,
        **database(bed, folder, servers.FOR_TESTS),
    }


def start_for_bench(bed):
    """The same for a bench, which brings its own stand-in for AWS."""
    folder = bed.enter_context(run_folder(prepare.home()))
    return {**servers.clean_environment(), **database(bed, folder, servers.FOR_BENCHES)}


def database(bed, folder, settings):
    """What leads to a Postgres. One that is given is used as it is."""
    url = os.environ.get("DATABASE_URL")
    if url:
        programs = os.environ.get("PG_BIN")
    else:
        url, programs = bed.enter_context(servers.postgres(folder, settings))
    return {"DATABASE_URL": url, **({"PG_BIN": str(programs)} if programs else {})}


def run(command, environment):
    """The command's exit status. Whatever it left running in its group is ended."""
    def detach():
        os.setpgrp()
        servers.die_with_parent(signal.SIGTERM)

    try:
        process = subprocess.Popen(command, env=environment, preexec_fn=detach)
    except OSError as error:
        raise prepare.Unprepared(f"{command[0]} cannot be run: {error.strerror}") from error
    try:
        with foreground(process.pid):
            status = process.wait()
        return status if status >= 0 else SIGNALLED - status
    finally:
        # Being asked to stop ends the wait above.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(SECONDS_TO_STOP)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def foreground(group):
    """Gives the terminal, if there is one, to the command: it may be a shell, and Ctrl-C is for it."""
    if not sys.stdin.isatty() or os.tcgetpgrp(0) != os.getpgrp():
        yield
        return
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(0, group)
    try:
        yield
    finally:
        os.tcsetpgrp(0, os.getpgrp())


if __name__ == "__main__":
    main()
