"""Debian's PostgreSQL for tests: one server for the whole run, whichever of its processes needs it first.

Its data is in memory where there is room, else in a temporary folder. It ends with the run, also if that is killed: a
keeper (this module as a program) waits for the end of the process that began the run, then stops the server and
removes the folder.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from tests.support import ROOT
from tests.support.clients import postgres_programs
from tests.support.ports import free_port as free_port

VARIABLE = "POSTGRES_OF_TESTS"
"""The environment variable of a run and its processes: the process that began it, and the folder of its server."""
MEMORY = Path("/dev/shm")
ROOM = 4 << 30
"""So much has to be free in memory for the data, in bytes."""
TRIES = 5
"""How often a start is tried, each time with another port."""
STOP_S = 30.0
"""The longest wait of the end of a run for the end of its server."""
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "400",
    "shared_buffers": "128MB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "update_process_title": "off",
    "listen_addresses": "127.0.0.1",
}
PORT, KEEPER, PRISTINE = "port", "keeper", "pristine"
"""Files in the folder: the port of the server and the process of its keeper; and the data of a new server."""


def begin_run() -> str:
    """Return the folder of the server of this run. It need not run yet, and ends with the process that began the run.

    That is the first process that calls this, for all that it starts later.
    """
    if VARIABLE not in os.environ:
        roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM
        folder = f"{MEMORY if roomy else tempfile.gettempdir()}/postgres-{secrets.token_hex(6)}"
        os.environ[VARIABLE] = f"{os.getpid()}:{folder}"
        atexit.register(_end_run, folder, os.getpid())
    return os.environ[VARIABLE].partition(":")[2]


@cache
def server() -> tuple[str, int]:
    """Return the folder of the server's socket, and its port. The first process of the run to call this starts it."""
    folder = begin_run()
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with open(f"{folder}/lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # closed, it is free again
        port = Path(folder, PORT)
        if not port.exists():
            run = os.environ[VARIABLE].partition(":")[0]
            command = [sys.executable, "-m", "tests.support.postgres_server", folder, run]
            subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=True, start_new_session=True)
        return folder, int(port.read_text())


def pristine() -> Path:
    """Return the data of a new server, to copy: faster than initdb."""
    return Path(server()[0], PRISTINE)


def as_postgres() -> dict[str, Any]:
    """Return arguments of `Popen`: run it as the user postgres if this is root, which PostgreSQL refuses."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


def _end_run(folder: str, run: int) -> None:
    """Have the server stopped. If that takes long, the keeper does it alone."""
    with suppress(OSError):  # it was not started, or has ended
        if os.getpid() == run:  # not a fork
            keeper = os.pidfd_open(int(Path(folder, KEEPER).read_text()))
            signal.pidfd_send_signal(keeper, signal.SIGTERM)
            select.select([keeper], [], [], STOP_S)


# Below: the keeper.


def _keep(folder: str, run: int) -> None:
    """Start the server, and return; a child of this process stays as its keeper."""
    for sign in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, lambda *_: sys.exit(1))
    try:
        running = os.pidfd_open(run)
        if as_postgres():
            shutil.chown(folder, "postgres", "postgres")
        _run(folder, "initdb", "-D", "data", "-U", "headcount", "-A", "trust", "-N", "-E", "UTF8", "--locale=C.UTF-8")
        subprocess.run(["cp", "-r", "data", PRISTINE], cwd=folder, check=True, **as_postgres())
        with open(f"{folder}/data/postgresql.auto.conf", "a", encoding="utf-8") as settings:
            settings.writelines(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
            settings.write(f"unix_socket_directories = '{folder}'\n")
        port = _start(folder)
        if keeper := os.fork():
            Path(folder, KEEPER).write_text(str(keeper))
            Path(folder, PORT).write_text(str(port))
            os._exit(0)
        with open(os.devnull, "r+b") as nothing:  # no reader of this process's output waits for its end
            for each in (0, 1, 2):
                os.dup2(nothing.fileno(), each)
        select.select([running], [], [])
    finally:
        _stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: str) -> int:
    """Start the server; return its port. Another process may take a free port first, so there are some tries."""
    for left in reversed(range(TRIES)):
        port = free_port()
        try:
            _run(folder, "pg_ctl", "start", "-D", f"{folder}/data", "-l", "log", "-w", "-s", "-o", f"-p {port}")
        except subprocess.CalledProcessError:
            _stop(folder)
            if not left:
                raise
        else:
            return port
    raise AssertionError


def _stop(folder: str) -> None:
    with suppress(subprocess.CalledProcessError):  # it does not run
        _run(folder, "pg_ctl", "stop", "-D", "data", "-m", "immediate", "-s", stderr=subprocess.DEVNULL)


def _run(folder: str, program: str, *arguments: str, stderr: int | None = None) -> None:
    command = [f"{postgres_programs()}/{program}", *arguments]
    nothing = subprocess.DEVNULL
    subprocess.run(command, cwd=folder, stdin=nothing, stdout=nothing, stderr=stderr, check=True, **as_postgres())


if __name__ == "__main__":
    _keep(sys.argv[1], int(sys.argv[2]))
