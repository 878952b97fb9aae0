"""A PostgreSQL server of one test, which may be stopped `immediate`, as a power cut of its processes."""

from __future__ import annotations

import ctypes
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.support.clients import postgres_programs
from tests.support.postgres_server import as_postgres, free_port, pristine
from tests.support.waiting import DEADLINE_S

_PR_SET_PDEATHSIG = 1
SETTINGS = {
    "max_connections": "100",
    "shared_buffers": "32MB",
    "checkpoint_timeout": "30s",
    "listen_addresses": "",
    "restart_after_crash": "off",
}
"""All else is as PostgreSQL comes: what it has acknowledged is on disk."""


class OwnPostgres:
    """One server with one database."""

    def __init__(self, folder: Path, data: Path) -> None:
        """Copy the `data` of another server, which does not run."""
        self._folder = folder
        self._port = free_port()  # only a part of the socket's name: it listens on no port
        self._process: subprocess.Popen[bytes] | None = None
        subprocess.run(["cp", "-r", data, "data"], cwd=folder, check=True, **as_postgres())
        with open(folder / "data" / "postgresql.auto.conf", "a", encoding="utf-8") as settings:
            settings.writelines(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
            settings.write(f"unix_socket_directories = '{folder}'\n")

    @property
    def url(self) -> str:
        return f"postgresql://headcount@/postgres?host={self._folder}&port={self._port}"

    @property
    def data(self) -> Path:
        return self._folder / "data"

    def start(self) -> None:
        """Start it; return when it answers."""
        command = [f"{postgres_programs()}/postgres", "-D", "data", "-p", str(self._port)]
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_parent,
                **as_postgres(),
            )
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """Stop it as `pg_ctl stop -m immediate` does: at the next start, it recovers."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(DEADLINE_S)
            self._process = None


@contextmanager
def own_postgres(data: Path | None = None) -> Iterator[OwnPostgres]:
    """Yield a server that runs; it ends with the block, and with this process.

    `data`: that of a server that does not run now. This one is a copy of it, as by a snapshot of its disk.
    """
    folder = tempfile.mkdtemp(prefix="postgres-")
    server = None
    try:
        if as_postgres():
            shutil.chown(folder, "postgres", "postgres")
        server = OwnPostgres(Path(folder), data or pristine())
        server.start()
        yield server
    finally:
        if server:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
