"""The folders of runs: each is one's own, and goes with the run.

A run holds a lock on its folder for as long as it lives, however it ends. So whoever comes next
can tell the folder of a run that was killed from one that is in use, and clears it away.
"""

import contextlib
import fcntl
import shutil
import signal
import sys
import tempfile
from pathlib import Path

# As a shell reports them.
SIGNALLED = 128


@contextlib.contextmanager
def run_folder(home):
    """A new folder under `home` that any user can pass through, deleted at the end."""
    runs = home / "runs"
    runs.mkdir(exist_ok=True)
    # One at a time, so that nobody sweeps a folder between its making and its locking.
    with open(home / "runs.lock", "w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        for abandoned in folders(runs):
            if not in_use(abandoned):
                delete(abandoned)
        folder = Path(tempfile.mkdtemp(dir=runs))
        folder.chmod(0o755)
        lock = open(lock_of(folder), "w")
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        delete(folder)
        lock.close()


def delete(folder):
    # The lock goes last: until then the run counts as alive.
    shutil.rmtree(folder, ignore_errors=True)
    lock_of(folder).unlink(missing_ok=True)


def folders(runs):
    return [path for path in runs.iterdir() if path.is_dir()]


def lock_of(folder):
    return folder.with_suffix(".lock")


def in_use(folder):
    """Whether the run of this folder still lives."""
    try:
        with open(lock_of(folder)) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def under_way(home):
    """The names of the runs that still live."""
    runs = home / "runs"
    return [folder.name for folder in folders(runs) if in_use(folder)] if runs.exists() else []


@contextlib.contextmanager
def stoppable():
    """Turns the signals that ask us to stop into an exit, so that everything is cleaned up on the way out."""
    signals = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

    def leave(number, _frame):
        # Once is enough: a second one would interrupt the cleaning up.
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        sys.exit(SIGNALLED + number)

    before = {each: signal.signal(each, leave) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
