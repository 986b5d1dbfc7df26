"""Leaving a demo running: it goes on in a process of its own, which still stops everything in the end."""

import os
import signal
import sys
import time

import prepare
import runs

KEPT = "kept"
SECONDS_TO_STOP = 60


def keep(demo):
    """Calls `demo(leave)` in a process that outlives this one. The demo's exit status."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        stay(demo, write)
    os.close(write)
    try:
        # The demo reports its status when it has been told; nothing, when it broke off.
        report = os.read(read, 1)
    except BaseException:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        raise
    return report[0] if report else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def stay(demo, write):
    """In the child: never returns."""
    os.setsid()

    def leave(folder, status):
        (folder / KEPT).write_text(str(os.getpid()))
        sys.stdout.flush()
        # Whoever waits for the end of our output has seen it.
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        os.write(write, bytes([status]))
        os.close(write)
        while True:
            signal.pause()

    try:
        sys.exit(demo(leave))
    except prepare.Unprepared as missing:
        print(f"demo: {missing}", file=sys.stderr)
        code = 1
    except SystemExit as end:
        code = end.code
    sys.stdout.flush()
    os._exit(code)


def stop():
    """Stops every demo that was left running. The exit status."""
    home = prepare.home()
    found = [run for run in runs.under_way(home) if (home / "runs" / run / KEPT).exists()]
    if not found:
        print("no demo is running")
    return max([stop_one(home / "runs" / run) for run in found], default=0)


def stop_one(folder):
    # Its lock says that the process lives, so the number is still its own.
    process = int((folder / KEPT).read_text())
    os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + SECONDS_TO_STOP
    while runs.in_use(folder):
        if time.monotonic() > deadline:
            print(f"process {process} does not stop", file=sys.stderr)
            return 1
        time.sleep(0.1)
    print("stopped")
    return 0
