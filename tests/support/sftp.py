"""A listening SFTP side with one tenant, a hook that records its calls, and clients for it."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from ground.afterwards import once_stored
from server.files.base import never_refused
from server.files.files import AllFiles
from server.files.hooks import Arrival, Decide, Hooked, HookRefused, HookTable, Upload
from server.files.limits import Usage
from server.files.local.measuring import measure_usage
from server.files.patterns import Pattern
from server.places import place_of
from server.sftp.listener import SftpListener
from server.tenants.tenants import Tenants
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.clients import client
from tests.support.installation import Installation, accounts_of, installation
from tests.support.keypairs import keypair, public_line
from tests.support.waiting import eventually

HOST = "127.0.0.1"

HooksOf = Callable[[Tenants], Iterable[Hooked]]


class HeardHook:
    """A hook that keeps copies as imports do, and records its calls in order."""

    def __init__(
        self, tenants: Tenants, stored: Installation, numbers: Iterator[int], *, decides: bool = False
    ) -> None:
        """`decides`: it decides on each file before it lands."""
        self.decides = decides
        self.heard: list[tuple[str, Upload]] = []
        self.reasons: list[str] = []
        self.refuse: str | None = None
        self.fail_landed: Exception | None = None
        self.unwanted: str | None = None
        self.offered: list[Path] = []
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.arrived = asyncio.Event()
        self.may_arrive = asyncio.Event()
        self.may_arrive.set()
        self.placed = asyncio.Event()
        self.may_land = asyncio.Event()
        self.may_land.set()
        self._copies: list[tuple[str, int]] = []
        self._tenants = tenants
        self._stored = stored
        self._numbers = numbers

    land = None

    @property
    def decide(self) -> Decide | None:
        return self.accepting if self.decides else None

    async def accepting(self, upload: Upload, file: Path) -> None:
        self.offered.append(file)
        self.asked.set()
        await self.may_answer.wait()
        if self.unwanted is not None:
            raise HookRefused(self.unwanted)

    async def arriving(self, upload: Upload) -> Arrival:
        self.arrived.set()
        await self.may_arrive.wait()
        if self.refuse is not None:
            raise HookRefused(self.refuse)
        self.heard.append(("arriving", upload))
        number = next(self._numbers)
        self._copies.append((upload.tenant, number))
        return Arrival(number, self._tenants.folder(upload.tenant).copy(number))

    async def landed(self, upload: Upload, arrival: Arrival) -> None:
        self.placed.set()
        await self.may_land.wait()
        if self.fail_landed is not None:
            raise self.fail_landed
        if chosen_engine() == EMBEDDED:  # in others, this is a step of a transaction that is not visible yet
            assert self._stored.shares(upload.tenant, upload.path, arrival.id)
        await once_stored(lambda: self.heard.append(("landed", upload)))

    async def failed(self, upload: Upload, arrival: Arrival, reason: str) -> None:
        assert self._stored.copy(upload.tenant, arrival.id) is None
        self._hear("failed", upload, reason)

    async def aborted(self, upload: Upload, reason: str) -> None:
        self._hear("aborted", upload, reason)

    async def ignored(self, upload: Upload, reason: str) -> None:
        self._hear("ignored", upload, reason)

    def _hear(self, what: str, upload: Upload, reason: str) -> None:
        self.heard.append((what, upload))
        self.reasons.append(reason)

    @property
    def events(self) -> list[str]:
        return [what for what, _ in self.heard]

    def kept(self) -> list[bytes | None]:
        """Return the copy of each upload that arrived, None for one that is not kept."""
        return [self._stored.copy(*copy) for copy in self._copies]

    def last_kept(self) -> bytes | None:
        return self._stored.copy(*self._copies[-1])

    @property
    def last(self) -> Upload:
        return self.heard[-1][1]


@dataclass
class Counted:
    """Metrics as lists."""

    logins: list[tuple[str, str]] = field(default_factory=list)
    uploads: list[tuple[str, str]] = field(default_factory=list)
    sessions: int = 0
    bans: int = 0
    moved: dict[str, int] = field(default_factory=lambda: {"in": 0, "out": 0})

    def session_opened(self, tenant: str) -> None:
        self.sessions += 1

    def session_closed(self, tenant: str) -> None:
        self.sessions -= 1

    def login(self, tenant: str, result: str) -> None:
        self.logins.append((tenant, result))

    def source_banned(self) -> None:
        self.bans += 1

    def transferred(self, tenant: str, direction: str, size: int) -> None:
        self.moved[direction] += size

    def upload(self, tenant: str, result: str) -> None:
        self.uploads.append((tenant, result))


class BanClock:
    """The clock of bans: time passes only when a test lets it, however slow the machine is."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class SftpHouse:
    """The server, its tenant `acme`, and clients for it."""

    def __init__(
        self, stored: Installation, tenants: Tenants, work: Path, hooked: HooksOf | Sequence[str], **settings: Any
    ) -> None:
        """`hooked`: the paths of `other`, a hook that is not for imports; or what makes hooks for the tenants."""
        self.tenants = tenants
        self.stored = stored
        self.work = work
        self.settings = stored.settings(sftp_host=HOST, sftp_port=0, **settings)
        self.accounts: Any = accounts_of(place_of(self.settings), tenants)
        self.metrics = Counted()
        numbers = itertools.count(1)
        self.real = HeardHook(tenants, self.stored, numbers)
        self.dry = HeardHook(tenants, self.stored, numbers)
        imports = {"/sync_users.csv": self.real, "/test/sync_users.csv": self.dry}
        self.other = HeardHook(tenants, self.stored, numbers, decides=True)
        self.on: list[str] | None = None
        """The hooks that are on for all tenants; None: all."""
        if callable(hooked):
            others = list(hooked(tenants))
        else:
            others = [Hooked(f"hook_{at}", Pattern(path), self.other) for at, path in enumerate(hooked)]
        self.hooks = HookTable(imports, others=others, on=lambda _: self.on)
        host_keys = [keypair(number=99)]
        self.all_files = self.files_for(tenants)
        self.listener = SftpListener(self.settings, self.accounts, self.all_files, self.metrics, host_keys)  # type: ignore[arg-type]
        self.port = 0
        self.key_file = work / "client_key"
        self.key_file.write_bytes(keypair().export_private_key())
        self.key_file.chmod(0o600)
        self.folder = tenants.folder("acme")

    def files_for(self, tenants: Tenants) -> AllFiles:
        """Return the files of all tenants, with the hooks of this side."""
        most = self.settings.max_read_bytes
        place = place_of(self.settings)
        return place.files(tenants.home, self.accounts, self.hooks, self.metrics, most, never_refused)

    @property
    def files(self) -> Path:
        """The folder that the tenant sees as `/`, for tests of the engine that has one."""
        return self.folder.files

    @property
    def visible(self) -> bytes | None:
        """The content of the file at the hook's path; None without one."""
        return self.at("sync_users.csv")

    def at(self, path: str) -> bytes | None:
        """Return the content of the file that the tenant sees at `path`; None without one."""
        return self.stored.visible("acme", path)

    def publish(self, path: str, content: bytes) -> None:
        """Have a file that no client has sent."""
        self.stored.publish("acme", path, content)

    def names(self, folder: str = "/") -> list[str]:
        return self.stored.names("acme", folder)

    async def limit(self, **limits: int) -> None:
        """Change the tenant's limits, and wait until they apply to new connections."""
        await self.tenants.change_settings("acme", limits)

        def known() -> bool:
            account = self.accounts.account("acme")
            return account is not None and all(getattr(account.limits, name) == limits[name] for name in limits)

        await eventually(known, what="the new limits")

    def stop_clock_of_bans(self) -> BanClock:
        """Let no penalty expire by itself; return the clock that says when it does."""
        clock = self.listener.gate._clock = BanClock()
        return clock

    def stop_watching(self) -> None:
        """Let the listener no more look at sessions and copies once a second."""
        for watcher in self.listener._watchers:
            watcher.cancel()

    async def counts_truly(self) -> bool:
        """Return whether the running total of the quota equals a new measurement of the visible files."""
        (space,) = self.listener._sessions._opened.values()
        if chosen_engine() == EMBEDDED:
            return await space.usage() == measure_usage(space.folder.fd, space._fixed)
        usage = await space.recounted()
        return (usage.size, usage.files) == self.stored.counted("acme")

    async def usage(self) -> Usage:
        """Return what counts against the quota, by the running total."""
        (space,) = self.listener._sessions._opened.values()
        return await (space.usage() if chosen_engine() == EMBEDDED else space.recounted())

    def staged(self) -> list[int]:
        """Return the sizes of the uploads that have not landed."""
        return self.stored.unfinished("acme")

    async def begin_anew(self) -> int:
        """Do with unfinished uploads what the start of another server does; return how many it found."""
        async with self.stored.open() as tenants:
            files = self.files_for(tenants)
            try:
                return await files.clear("acme", tenants.folder("acme").root)
            finally:
                files.close()

    async def nothing_open(self) -> None:
        """Wait until no SFTP session is open and staging is empty."""
        await eventually(lambda: not self.listener._sessions.tasks, what="sessions to end")
        await eventually(lambda: not self.staged(), what="an empty staging folder")

    @asynccontextmanager
    async def connect(self, **options: Any) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """Yield a connection of asyncssh's client."""
        options = {"username": "acme", "client_keys": [keypair()], **options}
        async with asyncssh.connect(
            HOST, self.port, known_hosts=None, config=None, agent_path=None, **options
        ) as connection:
            yield connection

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[asyncssh.SFTPClient]:
        """Yield an SFTP session of asyncssh's client."""
        async with self.connect(**options) as connection, connection.start_sftp_client() as sftp:
            yield sftp

    def ssh_options(self) -> list[str]:
        """Return options for OpenSSH's programs that ignore the configuration of the machine."""
        return [
            "-F", "none", "-i", str(self.key_file),
            *(
                part
                for option in ("IdentitiesOnly=yes", "IdentityAgent=none", "StrictHostKeyChecking=no",
                               "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes")
                for part in ("-o", option)
            ),
        ]  # fmt: skip

    async def sftp(self, *lines: str) -> tuple[int, str]:
        """Run OpenSSH's sftp with a batch of lines; return its exit status and output."""
        return await run(
            *(client("sftp"), *self.ssh_options(), "-P", str(self.port), "-b", "-", f"acme@{HOST}"),
            given="\n".join(lines).encode() + b"\n",
        )

    @asynccontextmanager
    async def slow_sftp(self, *lines: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run OpenSSH's sftp as at a terminal, at 1 MB/s; it gets `lines` first. It is killed at the end."""
        command = [client("sftp"), "-l", "8000", *self.ssh_options(), "-P", str(self.port), f"acme@{HOST}"]
        quiet = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=quiet, stderr=quiet
        )
        try:
            assert process.stdin is not None
            process.stdin.write("".join(f"{line}\n" for line in lines).encode())
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def half_way(self, size: int = 600_000) -> None:
        """Wait until an upload has sent `size` bytes."""
        await eventually(lambda: any(each >= size for each in self.staged()), what="half an upload")

    async def scp(self, *arguments: str) -> tuple[int, str]:
        """Run OpenSSH's scp; `remote:PATH` is a path on the server."""
        where = [argument.replace("remote:", f"acme@{HOST}:") for argument in arguments]
        return await run(client("scp"), *self.ssh_options(), "-P", str(self.port), *where)


async def answer_to(request: Awaitable[object]) -> str:
    """Return the reason with which a request is refused, or "OK"."""
    try:
        await request
    except asyncssh.SFTPError as refusal:
        return refusal.reason
    return "OK"


async def run(*command: str, given: bytes = b"", env: dict[str, str] | None = None) -> tuple[int, str]:
    """Run a client to its end; return its exit status and the output of both streams."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **(env or {})},
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(given), 60)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, said.decode(errors="replace")


@asynccontextmanager
async def sftp_house(
    tmp_path: Path, *, hooked: HooksOf | Sequence[str] = (), **settings: Any
) -> AsyncIterator[SftpHouse]:
    """Yield a listening house with hooks at the paths `hooked`; close it at the end."""
    stored = installation(tmp_path / "data")
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    async with stored.open() as tenants:
        if not await tenants.list():
            await tenants.add("acme", [public_line()])
        house = SftpHouse(stored, tenants, work, hooked, **settings)
        _, house.port = await house.listener.start()
        try:
            yield house
        finally:
            await house.listener.close(5)
            house.listener.release()
            house.accounts.close()
