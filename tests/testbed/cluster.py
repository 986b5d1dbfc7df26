"""A Postgres of one test's own, which does as it is told on standard input, and says each time that it is done.

`stop`: as an administrator stops it. `kill`: all of its processes at once, by SIGKILL. `start`: it comes back.
`standby`: it is stopped and comes back, and a standby follows it. At first, and after each `start`, its URL is printed; after
`standby` that of the standby. Arguments are further settings of it, `name=value`. It ends with its input.
"""

import os
import signal
import sys

import prepare
import servers
from runs import run_folder, stoppable

# What was committed has to outlive the server, and only the server: not the machine.
SETTINGS = ["fsync=off", "full_page_writes=off", "synchronous_commit=on"]


def main():
    with stoppable(), run_folder(prepare.home()) as folder:
        cluster = servers.Cluster(folder, [*SETTINGS, *sys.argv[1:]])
        server, standby = cluster.start(), None
        try:
            tell(cluster.url)
            for word in sys.stdin:
                match word.strip():
                    case "stop":
                        server.stop()
                        tell("stopped")
                    case "kill":
                        os.killpg(server.process.pid, signal.SIGKILL)
                        server.process.wait()
                        tell("killed")
                    case "start":
                        server = cluster.start()
                        tell(cluster.url)
                    case "standby":
                        server.stop()
                        (folder / "standby").mkdir(mode=0o755)
                        follower = servers.Standby(folder / "standby", cluster)
                        server, standby = cluster.start(), follower.start()
                        tell(follower.url)
        finally:
            if standby:
                standby.stop()
            server.stop()


def tell(what):
    print(what, flush=True)


if __name__ == "__main__":
    try:
        main()
    except prepare.Unprepared as missing:
        sys.exit(f"testbed: {missing}")
