"""The errands of the companies, in the real world and in the model."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import asyncssh

from tests.soak import sheets
from tests.soak.company import Person, Staff
from tests.soak.model import Tenant
from tests.soak.plan import PAUSE_DAYS, Errand
from tests.soak.records import Record
from tests.soak.sheets import Sheet
from tests.soak.storage import sends_invoices
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
            await sends_invoices(self.world, tenant, errand.dice, self.found)

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
        proof, of_the_previous = None, False
        if self.tenant.company.checksums:
            sent = _digest(proven or sheet)
            await self.sends_a_checksum(proven or sheet)
            proof = self.tenant.proves(_digest(sheet))
            belongs_to_the_previous = sent == self.tenant.newest_file
            of_the_previous = belongs_to_the_previous and not proof
            # the checksum of an older, equal file does not prove a file whose own checksum differs
            proof = proof and (sent == _digest(sheet) or belongs_to_the_previous)
        record = await self.puts(sheet)
        if of_the_previous:  # a checksum of the previous file counts against no other
            self.waits_for_its_checksum(record)
            return record
        self.tenant.lands(record, sheet, self.world.clock.now(), proven=proof)
        self.ended(record, sheet)
        return record

    async def sends_a_checksum(self, sheet: Sheet) -> None:
        content = f"{_digest(sheet)}  sync_users.csv\n".encode()
        self.tenant.checksums.append(_digest(sheet))
        await self.world.put(self.name, content, "/sync_users.csv.sha256")
        self.tenant.files["sync_users.csv.sha256"] = len(content)

    async def puts(self, sheet: Sheet) -> Record:
        await self.world.put(self.name, sheet.content)
        return self.landed(sheet)

    def landed(self, sheet: Sheet) -> Record:
        self.tenant.files["sync_users.csv"] = len(sheet.content)
        self.tenant.newest_file = _digest(sheet)
        return self.tenant.arrives(len(sheet.content))

    def waits_for_its_checksum(self, record: Record) -> None:
        """No checksum comes: the import waits for an hour, and fails in the evening."""
        self.tenant.supersede()
        self.deeds.wait_for(self.tenant, record)
        self.tenant.unproven.append(record)

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
            digest = f"{_digest(sheet)}  sync_users.csv\n".encode()
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
        """Send a file without its checksum."""
        record = await self.puts(sheet)
        if self.tenant.proves(_digest(sheet)):
            self.tenant.lands(record, sheet, self.world.clock.now(), proven=True)
            self.ended(record, sheet)
        else:
            self.waits_for_its_checksum(record)

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
        if self.world.keeps_attributes():
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
        if not (acknowledged or self.world.keeps_attributes()):
            self.world.settle()
            if self.world.server.state(self.name, next_id) is None:
                return
        wait_until(lambda: self.world.server.state(self.name, next_id) not in (None, "arriving"), END_S, "a record")
        if self.tenant.company.checksums and self.world.server.state(self.name, next_id) != "aborted":
            # the wait for its checksum ends when that arrives
            await self.sends_a_checksum(sheet)
        with self.tenant.unsure():
            if not acknowledged and self.world.server.state(self.name, next_id) == "aborted":
                self.aborted()
                self.world.settle()
                if self.world.server.state(self.name, next_id + 1) == "aborted":
                    self.aborted()  # a kill between its row and its mark lists it twice
                return
            record = self.landed(sheet)
            proven = True if self.tenant.company.checksums else None
            self.tenant.lands(record, sheet, self.world.clock.now(), proven=proven)
        self.ended(record, sheet)

    async def is_killed_after_the_close(self, sheet: Sheet) -> None:
        await self.world.put(self.name, sheet.content)
        self.killed(within_s=0.05)
        await self.finds_after_the_kill(sheet, acknowledged=True)


def _digest(sheet: Sheet) -> str:
    return hashlib.sha256(sheet.content).hexdigest()
