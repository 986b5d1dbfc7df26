"""Stocktake itself: built, configured, started and stopped as an operator would."""

import json
import os
import subprocess
import time
from pathlib import Path

import servers
from prepare import CHECKOUT, Unprepared

CONFIG = """\
[database]
url = "{database}"

[aws]
region = "{region}"
endpoint_url = "{endpoint}"

[admin]
listen = "{admin}"

[[queue]]
url = "{queue}"
"""
BUCKET = """
[[bucket]]
name = "{name}"
prefix = "{prefix}"
reconcile_every = "24h"
"""


def build():
    """The path of the debug binary; $TESTBED_BIN, if that is given, is used as it is."""
    given = os.environ.get("TESTBED_BIN")
    if given:
        return Path(given)
    cargo = servers.program("cargo", "cargo, or install Rust from rustup")
    # Progress goes to the terminal; what was made is told in JSON.
    command = [cargo, "build", "--locked", "--bin", "stocktake", "--message-format=json-render-diagnostics"]
    done = subprocess.run(command, cwd=CHECKOUT, stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise Unprepared("cargo build failed; it says why above.")
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]
    return Path(next(message["executable"] for message in messages if message.get("executable")))


class Daemon:
    """`stocktake serve`, with a configuration in its own folder."""

    def __init__(self, binary, folder, database, endpoint, queue, places):
        self.binary = binary
        self.folder = folder
        self.config = folder / "stocktake.toml"
        self.log_file = folder / "stocktake.log"
        self.environment = {**servers.clean_environment(), **servers.aws_environment(endpoint)}
        self.server = None
        listen = f"{servers.HOST}:{servers.free_port()}"
        self.admin = f"http://{listen}"
        head = CONFIG.format(database=database, region=servers.REGION, endpoint=endpoint, admin=listen, queue=queue)
        buckets = [BUCKET.format(name=name, prefix=prefix) for name, prefix in places.items()]
        self.config.write_text(head + "".join(buckets))

    def start(self):
        command = [self.binary, "--config", self.config, "serve"]
        self.server = servers.Server("stocktake", command, self.log_file, self.environment)

    def stop(self):
        """As a service manager does it. The exit status, and the seconds it took."""
        began = time.monotonic()
        status = self.server.stop() if self.server else 0
        return status, time.monotonic() - began

    def check(self):
        """Fails if it is not running."""
        status = self.server.process.poll()
        if status is not None:
            raise Unprepared(f"stocktake serve ended with status {status}")

    def run(self, *words):
        """One of its commands; what it printed, and its exit status."""
        command = [self.binary, "--config", self.config, *words]
        done = subprocess.run(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return done.stdout.rstrip(), done.returncode

    def log(self):
        return self.server.tail() if self.server else ""
