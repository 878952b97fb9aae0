"""The real side of the simulation: a server with a jumping clock, its disk, clients, mail server and receiver."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncssh
import httpx

from tests.support import ROOT
from tests.support.disks import small_disk
from tests.support.jumping_clock import JumpingClock
from tests.support.mailserver import MailHost
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until
from tests.support.webhost import WebHost

DISK_MEBIBYTES = 256
NIGHT = timedelta(hours=23)
EVENING = timedelta(hours=1, seconds=10)
"""The parts of a day that pass without work. With the work in between, a day is a little longer than 24 hours."""
QUIET_NS = 1_500_000
QUIET_S = 0.02
LONGEST_S = 60.0
CONNECTED = ("01", "02")
"""The states ESTABLISHED and SYN_SENT in /proc/net/tcp."""

HOOK = """
from headcount import Delivery, Message, Result, Retry, hook

@hook("/invoices/*.csv", name="invoices")
async def invoices(delivery: Delivery) -> Result:
    with delivery.open() as file:
        lines = file.read().decode().splitlines()
    if lines[0] == "bad":
        raise Retry(0, "This is bad.")
    said = [Message("error", "Odd.", line=1)] if lines[0] == "odd" else []
    return Result("Read.", {"lines": len(lines)}, said)
"""


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a server process: its own memory in KiB, and its descriptors."""

    memory_kib: int
    descriptors: int


class World:
    """The server and its surroundings. `disk` is whether the data folder is a small disk of its own."""

    def __init__(self, folder: Path, clock: JumpingClock, mail: MailHost, web: WebHost, *, disk: bool) -> None:
        (folder / "hooks_of_the_soak.py").write_text(HOOK)
        self.folder = folder
        self.clock = clock
        self.mail = mail
        self.web = web
        self.has_disk = disk
        self.backup = folder / "backup"
        self.env = {
            "HEADCOUNT_SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
            "HEADCOUNT_SMTP_FROM": "headcount@example.com",
            "HEADCOUNT_HTTP_PUBLIC_URL": "https://hr.example.com",
            "HEADCOUNT_WEBHOOK_ALLOW_PRIVATE": "true",
            "HEADCOUNT_UNBANNED_NETWORKS": "127.0.0.0/8",
            "HEADCOUNT_HOOKS": "hooks_of_the_soak",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}",
        }
        self.server = ServerProcess(folder, env=self.env)
        self.token = ""
        self._http = httpx.Client(timeout=LONGEST_S)
        self.starts = self.kills = 0

    # Time

    def pass_time(self, span: timedelta) -> datetime:
        """Let time pass while the server is idle; return the time after it, when the server is idle again."""
        self.settle()
        self.clock.let_pass(span)
        now = self.clock.now()
        self.get("/healthz")  # wakes the event loop
        self.settle()
        return now

    def settle(self) -> None:
        """Wait until no import or run is about to start, and the server uses no processor.

        A jump of the clock during a measurement would give it a length of days.
        """
        wait_until(self._is_idle, LONGEST_S, "the server to be idle")
        until = time.monotonic() + LONGEST_S
        quiet = 0
        while quiet < 3 and time.monotonic() < until:
            before, _ = self._worked_ns()
            time.sleep(QUIET_S)
            after, sleeps = self._worked_ns()
            quiet = quiet + 1 if sleeps and after - before < QUIET_NS and not self.is_sending() else 0

    def _is_idle(self) -> bool:
        return not self.rows(
            "SELECT 1 FROM imports WHERE state IN ('arriving', 'running')"
            " OR (state = 'queued' AND coalesce(message, '') NOT LIKE 'Paused until%'"
            " AND coalesce(message, '') NOT LIKE 'Waiting for%')"
            " OR (published IS NOT state AND state <> 'queued')"
            " UNION ALL SELECT 1 FROM runs WHERE state IN ('arriving', 'running', 'queued')"
        )

    def is_sending(self) -> bool:
        """Return whether the server is connected to the mail server or the receiver: a jump would end its wait."""
        wanted = {f"{port:04X}" for port in (self.mail.port, self.web.port)}
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return any(row[2].rpartition(":")[2] in wanted and row[3] in CONNECTED for row in rows)

    def _worked_ns(self) -> tuple[int, bool]:
        """Return the processor time of the server, and whether no thread waits for a processor."""
        total, sleeps = 0, True
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
                total += int((task / "schedstat").read_text().split()[0])
                sleeps &= (task / "stat").read_text().rpartition(")")[2].split()[0] == "S"
        return total, sleeps

    # The process

    @property
    def pid(self) -> int:
        assert self.server.process
        return self.server.process.pid

    def start(self) -> None:
        self.server.start()
        self.starts += 1

    def kill(self) -> None:
        self.server.kill()
        self.kills += 1

    def size(self) -> Size:
        status = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        (memory,) = (int(line.split()[1]) for line in status if line.startswith("RssAnon:"))
        return Size(memory, len(os.listdir(f"/proc/{self.pid}/fd")))

    def keeps_attributes(self) -> bool:
        """Return whether the disk keeps extended attributes. Else a killed upload may leave nothing in the list."""
        probe = self.server.data / "probe"
        probe.touch()
        try:
            os.setxattr(probe, "user.probe", b"1")
        except OSError:
            return False
        finally:
            probe.unlink()
        return True

    def empty(self) -> None:
        """Remove everything in the data folder."""
        for each in self.server.data.iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()

    # Its data

    def rows(self, statement: str, *values: object) -> list[dict[str, Any]]:
        return rows_of(self.server.data / "headcount.db", statement, *values)

    def user_rows(self, tenant: str, statement: str) -> list[dict[str, Any]]:
        return rows_of(self.server.files(tenant).users_db, statement)

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Send a GET request. A client for each, as `ServerProcess.get` has, would take most of a day's time."""
        url = f"http://127.0.0.1:{self.server.http_port}{path}"
        return self._http.get(url, headers={"connection": "close", **headers})

    def api(self, path: str) -> Any:
        answer = self.get(f"/api/v1/{path}", Authorization=f"Bearer {self.token}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    # Clients

    @asynccontextmanager
    async def client(self, tenant: str) -> AsyncIterator[asyncssh.SFTPClient]:
        async with self.server.connect(tenant) as connection, connection.start_sftp_client() as sftp:
            yield sftp

    async def put(self, tenant: str, content: bytes, path: str = "/sync_users.csv") -> None:
        """Upload a file; the server has acknowledged it when this returns."""
        async with self.client(tenant) as sftp, sftp.open(path, "wb") as file:
            await file.write(content)

    async def may_log_in(self, tenant: str, key: Path) -> bool:
        try:
            async with asyncssh.connect(
                "127.0.0.1",
                self.server.sftp_port,
                username=tenant,
                client_keys=[str(key)],
                known_hosts=None,
                config=None,
            ):
                return True
        except asyncssh.PermissionDenied:
            return False


@dataclass
class Totals:
    """Numbers for the last line, and the sizes of the server over the days."""

    imports: int = 0
    backups: int = 0
    drills: int = 0
    restores: int = 0
    steps: int = 0
    full_disks: int = 0
    sizes: list[Size] = field(default_factory=list)


def rows_of(database: Path, statement: str, *values: object) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=LONGEST_S)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(statement, values)]


@contextmanager
def opened(folder: Path, clock: JumpingClock, *, disk: bool) -> Iterator[World]:
    """Open the surroundings, and end the server and all of them afterwards."""
    with MailHost(folder) as mail, WebHost() as web:
        world = World(folder, clock, mail, web, disk=disk)
        if not disk:
            with world_ended(world):
                yield world
            return
        with small_disk(world.server.data, DISK_MEBIBYTES), world_ended(world):
            yield world


@contextmanager
def world_ended(world: World) -> Iterator[None]:
    try:
        yield
    finally:
        world.server.end()
