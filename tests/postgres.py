"""A PostgreSQL server of the test run's own: in a folder of its own, on a free port, gone at the end."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.service_process import free_port

PLACES = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")
START_S = 60.0


def programs() -> Path | None:
    """The folder with `initdb` and `postgres`."""
    on_path = shutil.which("postgres")
    folders = [Path(on_path).parent] if on_path else []
    folders += [folder for place in PLACES for folder in sorted(Path("/").glob(place[1:]), reverse=True)]
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


def install() -> None:
    """Where a run for everybody must not skip: a container of the continuous integration that lets us."""
    if os.environ.get("CI") and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-q"], check=False, timeout=300)
        subprocess.run(
            ["apt-get", "install", "-q", "-y", "--no-install-recommends", "postgresql"], check=False, timeout=600
        )


@contextmanager
def running_postgres() -> Iterator[str]:
    """The URL of an empty server, without a database name. Skips the test where there is no PostgreSQL."""
    if programs() is None:
        install()
    folder = programs()
    if folder is None:
        pytest.skip("PostgreSQL is not installed: nothing is tested on it")
    home = Path(tempfile.mkdtemp(prefix="rediffuse-postgres-", dir=fast_folder()))
    identity = unprivileged(home)
    data, port = home / "data", free_port()
    initdb = [folder / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-locale"]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=home, **identity)
    settings = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": home, "fsync": "off"}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen([folder / "postgres", "-D", data, *options], stderr=log, cwd=home, **identity)
    try:
        wait_until_up(server, port, home / "log")
        yield f"postgresql+psycopg://postgres@127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGQUIT)  # at once: waits for no client and saves nothing
        server.wait(30)
        shutil.rmtree(home, ignore_errors=True)


def fast_folder() -> str | None:
    """In memory where there is enough of it: every test gets a database of some 10 MB, in hundreds of files."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > 4 * 2**30 else None


def unprivileged(home: Path) -> dict[str, object]:
    """PostgreSQL refuses to run as root: who it runs as, and makes the folder theirs."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(home, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def wait_until_up(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    give_up_at = time.monotonic() + START_S
    while time.monotonic() < give_up_at and server.poll() is None:
        try:
            psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres").close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()[-2000:]}")
