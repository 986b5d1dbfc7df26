"""Starts a Postgres and an S3 and SQS of our own, on free ports of the loopback, and stops them."""

import contextlib
import ctypes
import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import prepare
from prepare import Unprepared

HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"
REGION = "eu-central-1"
NOBODY = 65534
OLDEST_POSTGRES = 14
SECONDS_TO_START = 30
SECONDS_TO_STOP = 20
# Another program may take a port between our choosing it and the server's binding it.
TRIES = 3
PR_SET_PDEATHSIG = 1

# Faster, and not safe: what a test writes need not survive the machine.
FOR_TESTS = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]

# Safe, as a daemon's would be, with room for the tables of a bench and the log of writing them; and it
# remembers when each transaction was committed.
FOR_BENCHES = ["fsync=on", "track_commit_timestamp=on", "shared_buffers=512MB", "max_wal_size=4GB"]


def aws_environment(endpoint):
    """What makes an AWS client talk to the emulator, and to nothing else."""
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint,
        # Whatever else the machine knows of AWS is not for us.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": f"{HOST},localhost",
        "no_proxy": f"{HOST},localhost",
    }


def clean_environment():
    """Ours without anything that would configure an AWS client or Stocktake itself."""
    foreign = re.compile(r"AWS_|STOCKTAKE_")
    return {name: value for name, value in os.environ.items() if not foreign.match(name)}


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def die_with_parent(number):
    """For a child to call before it becomes a server: if we are killed, it gets this signal."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


class Server:
    """A process and its children, in a group of their own."""

    def __init__(self, name, command, log, environment, stop_signal=signal.SIGTERM, user=None):
        self.name = name
        self.log = log
        self.stop_signal = stop_signal
        if user is not None:
            identity = [f"--reuid={user}", f"--regid={user}", "--clear-groups", "--pdeathsig", stop_signal.name[3:]]
            command = [program("setpriv", "util-linux"), *identity, *command]
        with open(log, "ab") as output:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(stop_signal),
            )

    def wait_until(self, ready):
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline:
            if ready():
                return
            if self.process.poll() is not None:
                raise Unprepared(f"{self.name} ended with status {self.process.returncode}:\n{self.tail()}")
            time.sleep(0.02)
        raise Unprepared(f"{self.name} is not ready after {SECONDS_TO_START} s:\n{self.tail()}")

    def tail(self, lines=30):
        return "\n".join(Path(self.log).read_text(errors="replace").splitlines()[-lines:])

    def stop(self):
        """Asks the server to stop, then ends whatever is left of its group. Its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(SECONDS_TO_STOP)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()


def program(name, package):
    path = shutil.which(name)
    if path is None:
        raise Unprepared(f"{name} is missing. On Debian: apt-get install {package}")
    return path


def started(start, ready):
    """A server that runs: `start` makes one, `ready` tells when it can be used."""
    for left in reversed(range(TRIES)):
        server = start()
        try:
            server.wait_until(lambda: ready(server))
            return server
        except BaseException as error:
            server.stop()
            if left == 0 or not isinstance(error, Unprepared):
                raise


# Postgres


def find_postgres():
    """The folder of PostgreSQL's programs: $PG_BIN, else Debian's newest, else PyPI's."""
    chosen = os.environ.get("PG_BIN")
    if chosen:
        if not is_complete(chosen):
            raise Unprepared(f"PG_BIN is {chosen}, which has no initdb and postgres.")
        return Path(chosen)
    found = {}
    for folder in glob.glob("/usr/lib/postgresql/*/bin"):
        version = Path(folder).parent.name
        if version.isdigit() and int(version) >= OLDEST_POSTGRES and is_complete(folder):
            found[int(version)] = Path(folder)
    return found[max(found)] if found else prepare.postgres()


def is_complete(folder):
    return all(os.access(Path(folder) / name, os.X_OK) for name in ("initdb", "postgres"))


class Cluster:
    """A new cluster of databases in `folder`, at a port that it keeps."""

    def __init__(self, folder, settings=()):
        self.programs = find_postgres()
        self.folder = folder
        self.settings = settings
        self.user = NOBODY if os.geteuid() == 0 else None
        self.data = folder / "postgres"
        self.data.mkdir(mode=0o700)
        if self.user is not None:
            os.chown(self.data, self.user, self.user)
        self.environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "LC_ALL": "C.UTF-8"}
        self.port = None
        self.initialise()

    def initialise(self):
        options = ["-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-U", "postgres", "-D", self.data]
        command = [self.programs / "initdb", *options]
        initdb = Server("initdb", command, self.folder / "initdb.log", self.environment, user=self.user)
        try:
            if initdb.process.wait() != 0:
                raise Unprepared(
                    f"{self.programs}/initdb failed:\n{initdb.tail()}\n"
                    "As root it runs as nobody, who must be able to pass through every folder above it and above "
                    f"{self.folder} (TESTBED_HOME chooses another)."
                )
        finally:
            initdb.stop()

    def start(self):
        """The server, ready: at the port it had before, if it ran before."""
        server = started(self.launch, lambda server: accepts_connections(self.data))
        self.port = server.port
        return server

    def launch(self):
        port = self.port or free_port()
        # No socket file: nothing outside of the folder.
        fixed = ["listen_addresses=" + HOST, "unix_socket_directories=", f"port={port}", "max_connections=200"]
        words = [word for setting in (*fixed, *self.settings) for word in ("-c", setting)]
        command = [self.programs / "postgres", "-D", self.data, *words]
        # SIGINT: without waiting for clients that are still connected.
        log = self.folder / "postgres.log"
        server = Server("postgres", command, log, self.environment, signal.SIGINT, self.user)
        server.port = port
        return server

    @property
    def url(self):
        return f"postgres://postgres@{HOST}:{self.port}/postgres"


class Standby(Cluster):
    """A standby that follows a primary: a copy of its files, made while it is stopped."""

    def __init__(self, folder, primary):
        self.primary = primary
        super().__init__(folder, primary.settings)

    def initialise(self):
        shutil.copytree(self.primary.data, self.data, dirs_exist_ok=True)
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        (self.data / "standby.signal").touch()
        with (self.data / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"primary_conninfo = 'host={HOST} port={self.primary.port} user=postgres'\n")
        if self.user is not None:
            for path in (self.data, *self.data.rglob("*")):
                os.chown(path, self.user, self.user)


@contextlib.contextmanager
def postgres(folder, settings=()):
    """Runs a new cluster in `folder`; gives the URL of its database `postgres`, and where its programs are."""
    cluster = Cluster(folder, settings)
    server = cluster.start()
    try:
        yield cluster.url, cluster.programs
    finally:
        server.stop()


def accepts_connections(data):
    """The last line of Postgres's own pid file says so."""
    with contextlib.suppress(OSError):
        lines = (data / "postmaster.pid").read_text().splitlines()
        return len(lines) > 7 and lines[7].strip() == "ready"
    return False


# S3 and SQS


@contextlib.contextmanager
def emulator(folder, auth=False):
    """Runs S3, SQS and what belongs to them; gives the endpoint. With `auth`, policies are enforced."""
    folder = folder / "emulator"
    folder.mkdir()

    def start():
        port = free_port()
        environment = {
            **clean_environment(),
            "BIND_HOST": HOST,
            "MINISTACK_HOST": HOST,
            "MINISTACK_REGION": REGION,
            "GATEWAY_PORT": str(port),
            "SERVICES": "s3,sqs,sns,sts,iam,events",
            "LOG_LEVEL": "WARNING",
            "AUTH": str(auth).lower(),
            # Its own places for files; and it tidies up Docker containers, which are not ours.
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "S3_DATA_DIR": str(folder / "s3"),
            "STATE_DIR": str(folder / "state"),
            "DOCKER_HOST": f"unix://{folder}/no-docker",
        }
        command = [sys.executable, "-B", HERE / "ministack_shim.py"]
        server = Server("the emulator", command, folder / "log", environment)
        server.endpoint = f"http://{HOST}:{port}"
        return server

    server = started(start, lambda server: answers(server.endpoint + "/_ministack/health"))
    try:
        yield server.endpoint
    finally:
        server.stop()


def answers(url):
    try:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(url, timeout=2) as response:
            return response.status == 200
    except OSError:
        return False
