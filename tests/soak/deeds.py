"""The errands of the companies, in the real world and in the model."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import asyncssh

from tests.soak import sheets
from tests.soak.company import Person, Staff
from tests.soak.model import Tenant
from tests.soak.plan import PAUSE_DAYS, Errand
from tests.soak.records import Record
from tests.soak.sheets import Sheet
from tests.soak.world import World
from tests.support.waiting import wait_until

PAUSE = timedelta(days=PAUSE_DAYS, hours=-3)
"""The length of a pause: it ends in the night before a day."""

END_S = 30.0
Found = Callable[[str], None]
"""Notes a difference."""


class Deeds:
    """The errands of the companies. Each ends when its imports have ended, and compares their ends."""

    def __init__(self, world: World, tenants: dict[str, Tenant], staff: dict[str, Staff], found: Found) -> None:
        self.world = world
        self.tenants = tenants
        self.staff = staff
        self.found = found

    async def run(self, errand: Errand) -> None:
        tenant, staff = self.tenants[errand.company.name], self.staff[errand.company.name]
        if errand.pauses:
            begin = self.world.clock.now()
            tenant.pause(begin, end := (begin + PAUSE).replace(microsecond=0))
            self.world.server.cli("tenant", "set", tenant.company.name, f"paused_until={end.isoformat()}")
        one = _One(self, tenant, staff, errand.dice)
        await one.run(errand.feed)
        if tenant.company.hooks:
            await one.sends_invoices()

    def restart(self) -> None:
        """Start the server after a kill or a stop."""
        self.world.start()
        for tenant in self.tenants.values():
            tenant.restarted()

    def wait_for(self, tenant: Tenant, record: Record) -> None:
        """Wait until an import is in the state of the model; note a difference if it is not."""
        name = tenant.company.name
        try:
            wait_until(lambda: self.world.server.state(name, record.id) == record.state, END_S)
        except AssertionError:
            state = self.world.server.state(name, record.id)
            self.found(f"{name}: import {record.id} is {state}; the model says {record.state}")


class _One:
    """One company on one day."""

    def __init__(self, deeds: Deeds, tenant: Tenant, staff: Staff, dice: random.Random) -> None:
        self.deeds = deeds
        self.world = deeds.world
        self.tenant = tenant
        self.name = tenant.company.name
        self.staff = staff
        self.dice = dice

    async def run(self, feed: str) -> None:
        if feed == "silent":
            return
        if feed != "the same":
            self.staff.live(self.world.clock.now().date(), self.dice)
        people = self.staff.rows()
        if not people:  # no changes to send
            return
        sheet = sheets.good(people)
        if feed in sheets.SPOILERS:
            await self.sends_spoiled(feed, people)
            return
        special: dict[str, Callable[[Sheet], Awaitable[None]]] = {
            "two files": self.sends_two,
            "lost": self.loses_its_connection,
            "near name": self.mistakes_the_name,
            "dry run": self.tests,
            "undo": self.undoes,
            "killed undo": self.undoes_and_is_killed,
            "killed upload": self.is_killed_before_the_close,
            "killed close": self.is_killed_at_the_close,
            "killed import": self.is_killed_after_the_close,
            "no checksum": self.forgets_the_checksum,
            "a wrong checksum": self.sends_a_wrong_checksum,
        }
        if feed.startswith("mass"):
            await self.sends_too_few(feed)
        else:
            await special.get(feed, self.sends)(sheet)

    # Files that arrive

    async def sends(self, sheet: Sheet, *, proven: Sheet | None = None) -> Record:
        """Upload a file, with the checksum of `proven` (by default the file's own) where one is required."""
        checked = None
        if self.tenant.company.checksums:
            digest = hashlib.sha256((proven or sheet).content).hexdigest()
            await self.world.put(self.name, f"{digest}  sync_users.csv\n".encode(), "/sync_users.csv.sha256")
            self.tenant.files["sync_users.csv.sha256"] = len(digest) + 17
            checked = (proven or sheet).content == sheet.content
        record = await self.puts(sheet)
        self.tenant.lands(record, sheet, self.world.clock.now(), proven=checked)
        self.ended(record, sheet)
        return record

    async def puts(self, sheet: Sheet) -> Record:
        await self.world.put(self.name, sheet.content)
        self.tenant.files["sync_users.csv"] = len(sheet.content)
        return self.tenant.arrives(len(sheet.content))

    def ended(self, record: Record, sheet: Sheet) -> None:
        """Wait for an import. After it was applied, a list of changes begins anew."""
        self.deeds.wait_for(self.tenant, record)
        if record.state in ("completed", "unchanged") and not sheet.correction and not sheet.cut:
            self.staff.changed.clear()

    async def sends_two(self, sheet: Sheet) -> None:
        await self.sends(sheet)
        self.staff.live(self.world.clock.now().date(), self.dice)
        if people := self.staff.rows():
            await self.sends(sheets.good(people))

    async def tests(self, sheet: Sheet) -> None:
        if self.tenant.company.checksums:
            digest = f"{hashlib.sha256(sheet.content).hexdigest()}  sync_users.csv\n".encode()
            await self.world.put(self.name, digest, "/test/sync_users.csv.sha256")
            self.tenant.files["test/sync_users.csv.sha256"] = len(digest)
        await self.world.put(self.name, sheet.content, "/test/sync_users.csv")
        self.tenant.files["test/sync_users.csv"] = len(sheet.content)
        record = self.tenant.arrives(len(sheet.content), dry_run=True)
        self.tenant.lands(record, sheet, self.world.clock.now(), proven=self.tenant.company.checksums or None)
        self.deeds.wait_for(self.tenant, record)

    async def sends_spoiled(self, feed: str, people: list[Person]) -> None:
        sheet = sheets.SPOILERS[feed](people, self.dice)
        whole = sheets.good(people) if feed.startswith("cut") else None
        record = await self.sends(sheet, proven=whole)
        if record.state == "held" and self.dice.random() < 0.5:
            self.discards(record)
        if feed == "with bad rows" and record.state == "completed_with_errors" and self.dice.random() < 0.6:
            async with self.world.client(self.name) as sftp:
                path = f"/results/sync_users-{record.id}.errors.csv"
                wait_until(lambda: self.world.server.result(self.name, record.id), END_S, path)
                async with sftp.open(path, "r", encoding="utf-8-sig") as file:
                    errors = await file.read()
            await self.sends(sheets.fixed(errors, people))

    async def sends_too_few(self, feed: str) -> None:
        """Send a file that would deactivate most users, and decide."""
        make = sheets.shrunk if self.tenant.company.whole else sheets.emptied
        sheet = make(self.staff.people[: None if self.tenant.company.whole else -1], self.dice)
        record = await self.sends(sheet)
        if record.state == "held" and feed.endswith("discarded"):
            self.discards(record)
        elif record.state == "held" and feed.endswith("approved"):
            self.world.server.cli("import", "approve", self.name)
            self.tenant.approve(record, sheet, self.world.clock.now())
            self.deeds.wait_for(self.tenant, record)

    def discards(self, record: Record) -> None:
        self.world.server.cli("import", "discard", self.name)
        self.tenant.ends(record, "discarded")
        self.deeds.wait_for(self.tenant, record)

    # Files that do not arrive, or under another name

    async def loses_its_connection(self, sheet: Sheet) -> None:
        async with self.world.server.connect(self.name) as connection:
            sftp = await connection.start_sftp_client()
            file = await sftp.open("/sync_users.csv", "wb")
            await file.write(sheet.content[: len(sheet.content) // 2 + 1])
            connection.abort()
        self.aborted()

    def aborted(self) -> None:
        record = self.tenant.arrives(0)
        self.tenant.ends(record, "aborted")
        self.deeds.wait_for(self.tenant, record)

    async def mistakes_the_name(self, sheet: Sheet) -> None:
        async with self.world.client(self.name) as sftp:
            async with sftp.open("/sync_user.csv", "wb") as file:
                await file.write(sheet.content)
            record = self.tenant.arrives(len(sheet.content))
            self.tenant.ends(record, "ignored")
            self.deeds.wait_for(self.tenant, record)
            await sftp.remove("/sync_user.csv")

    async def forgets_the_checksum(self, sheet: Sheet) -> None:
        """Send a file without its checksum: it waits for an hour, and fails in the evening."""
        record = await self.puts(sheet)
        self.tenant.supersede()
        self.deeds.wait_for(self.tenant, record)
        self.tenant.unproven.append(record)

    async def sends_a_wrong_checksum(self, sheet: Sheet) -> None:
        await self.sends(sheet, proven=Sheet(b"another file"))

    # Undo

    async def undoes(self, sheet: Sheet) -> None:
        if not (record := self.tenant.can_be_undone()):
            await self.sends(sheet)
            return
        self.world.server.cli("import", "undo", self.name)
        self.tenant.undo(record)
        self.deeds.wait_for(self.tenant, record)

    async def undoes_and_is_killed(self, sheet: Sheet) -> None:
        if not (record := self.tenant.can_be_undone()):
            await self.sends(sheet)
            return
        self.world.server.cli("import", "undo", self.name)
        self.killed(within_s=0.03)
        with self.tenant.unsure():
            self.tenant.undo(record)
        self.deeds.wait_for(self.tenant, record)

    # Kills

    def killed(self, within_s: float) -> None:
        """Kill the server within this time, and start it again."""
        time.sleep(self.dice.random() * within_s)
        self.world.kill()
        self.deeds.restart()

    async def is_killed_before_the_close(self, sheet: Sheet) -> None:
        with suppress(asyncssh.Error, OSError):
            async with self.world.client(self.name) as sftp, sftp.open("/sync_users.csv", "wb") as file:
                await file.write(sheet.content[: self.dice.randrange(1, len(sheet.content))])
                self.killed(within_s=0)
        with self.tenant.unsure():
            self.aborted()

    async def is_killed_at_the_close(self, sheet: Sheet) -> None:
        """Kill the server while it gets the CLOSE. Without an OK, the file is imported or listed as interrupted."""
        acknowledged = False
        with suppress(asyncssh.Error, OSError):
            async with self.world.client(self.name) as sftp:
                file = await sftp.open("/sync_users.csv", "wb")
                await file.write(sheet.content)
                closing = asyncio.ensure_future(file.close())
                await asyncio.sleep(self.dice.random() * 0.02)
                self.world.kill()
                with suppress(asyncssh.Error, OSError):
                    await closing
                    acknowledged = True
        self.deeds.restart()
        await self.finds_after_the_kill(sheet, acknowledged=acknowledged)

    async def finds_after_the_kill(self, sheet: Sheet, *, acknowledged: bool) -> None:
        next_id = len(self.tenant.records) + 1
        wait_until(lambda: self.world.server.state(self.name, next_id) not in (None, "arriving"), END_S, "a record")
        if self.tenant.company.checksums and self.world.server.state(self.name, next_id) != "aborted":
            # the wait for its checksum ends when that arrives
            digest = f"{hashlib.sha256(sheet.content).hexdigest()}  sync_users.csv\n".encode()
            await self.world.put(self.name, digest, "/sync_users.csv.sha256")
            self.tenant.files["sync_users.csv.sha256"] = len(digest)
        with self.tenant.unsure():
            if not acknowledged and self.world.server.state(self.name, next_id) == "aborted":
                self.aborted()
                self.world.settle()
                if self.world.server.state(self.name, next_id + 1) == "aborted":
                    self.aborted()  # a kill between its row and its mark lists it twice
                return
            self.tenant.files["sync_users.csv"] = len(sheet.content)
            record = self.tenant.arrives(len(sheet.content))
            proven = True if self.tenant.company.checksums else None
            self.tenant.lands(record, sheet, self.world.clock.now(), proven=proven)
        self.ended(record, sheet)

    async def is_killed_after_the_close(self, sheet: Sheet) -> None:
        await self.world.put(self.name, sheet.content)
        self.killed(within_s=0.05)
        await self.finds_after_the_kill(sheet, acknowledged=True)

    # Another hook, and the quota

    async def sends_invoices(self) -> None:
        """Send a file to the other hook, and fill and free the storage."""
        run_id = len(self.tenant.runs) + 1
        content = self.dice.choice((b"good\n", b"good\n", b"odd\n", b"bad\n"))
        state = {b"good\n": "completed", b"odd\n": "completed_with_errors", b"bad\n": "failed"}[content]
        files = self.tenant.files
        async with self.world.client(self.name) as sftp:
            if await self.stores(sftp, f"invoices/{run_id}.csv", content):
                self.tenant.runs[run_id] = state
                self.tenant.hear(f"run {run_id} {state}", mail=state != "completed")
            await self.stores(sftp, f"archive-{run_id}", self.dice.randbytes(self.dice.randrange(30_000, 90_000)))
            while sum(files.values()) > self.tenant.company.quota_bytes * 3 // 4:
                oldest = next(path for path in files if path.startswith("archive"))
                await sftp.remove(f"/{oldest}")
                del files[oldest]
            if old := next((path for path in files if path == f"invoices/{run_id - 5}.csv"), None):
                await sftp.remove(f"/{old}")
                del files[old]

    async def stores(self, sftp: asyncssh.SFTPClient, path: str, content: bytes) -> bool:
        """Upload a file, and return whether it was stored; it must be refused if it does not fit into the quota."""
        waiting = sum(each.size for each in self.tenant.records.values() if each.state in ("held", "queued"))
        free = self.tenant.company.quota_bytes - sum(self.tenant.files.values())
        try:
            async with sftp.open(f"/{path}", "wb") as file:
                await file.write(content)
            stored = True
        except asyncssh.SFTPError:
            stored = False
        if stored and len(content) > free:
            self.deeds.found(f"{self.name}: {path} was stored above the quota")
        if not stored and len(content) + waiting <= free:
            self.deeds.found(f"{self.name}: {path} of {len(content)} bytes was refused, and {free} are free")
        if stored:
            self.tenant.files[path] = len(content)
        return stored


def make_key(folder: Path, name: str) -> Path:
    """Write a new key pair; return the file of the private key."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    private = folder / name
    private.write_bytes(key.export_private_key())
    private.with_suffix(".pub").write_bytes(key.export_public_key())
    return private
