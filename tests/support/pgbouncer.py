"""pgbouncer in transaction mode, in front of a server of PostgreSQL."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.support.clients import client
from tests.support.postgres import as_postgres, free_port
from tests.support.waiting import wait_until


class PgBouncer:
    """A pgbouncer in front of the server that has the database at `url`, with up to `most` connections to it."""

    def __init__(self, url: str, home: Path, most: int) -> None:
        facts = parse_qs(urlsplit(url).query)
        self._name = urlsplit(url).path
        self._home = home
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        (home / "users").write_text('"headcount" ""\n')
        (home / "ini").write_text(
            "\n".join(
                (
                    "[databases]",
                    f"* = host={facts['host'][0]} port={facts['port'][0]}",
                    "[pgbouncer]",
                    "pool_mode = transaction",
                    f"default_pool_size = {most}",
                    "listen_addr = 127.0.0.1",
                    f"listen_port = {self._port}",
                    "unix_socket_dir =",
                    "auth_type = trust",
                    f"auth_file = {home}/users",
                    f"logfile = {home}/log",
                    # By default, it does not connect again for 15 seconds after a server was away.
                    "server_login_retry = 1",
                    "",
                )
            )
        )
        for each in (home, home / "log"):
            each.touch()
            if as_postgres():
                shutil.chown(each, "postgres")

    @property
    def url(self) -> str:
        """The URL of the same database, through pgbouncer."""
        return f"postgresql://headcount@127.0.0.1:{self._port}{self._name}"

    def start(self) -> None:
        """Start it; return when it answers."""
        log = self._home / "log"
        log.write_text("")
        command = [client("pgbouncer"), "-q", str(self._home / "ini")]
        self._process = subprocess.Popen(command, cwd=self._home, **as_postgres())
        wait_until(lambda: "process up" in log.read_text())

    def kill(self) -> None:
        """Cut its clients off from the server."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def pgbouncer(url: str, most: int) -> Iterator[PgBouncer]:
    """Yield a pgbouncer that runs; it ends with the block."""
    home = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    between = PgBouncer(url, home, most)
    try:
        between.start()
        yield between
    finally:
        between.kill()
        shutil.rmtree(home)
