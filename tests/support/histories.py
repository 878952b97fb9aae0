"""Play random histories of one company twice: with files read side by side with the previous one, and read alone.

Both ways must give the same users, history, counts, messages, rejected rows and changes of held imports, whatever
happens between two files. `python -m tests.support.histories --seconds 3600` plays them for an hour, one seed after
the other, and exits with 1 at the first difference.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg

from engine.postgres.importing import before as before_in_postgres
from engine.sqlite.importing import before
from ground.refusals import Refusal
from importer.errors import Stopped
from importer.file import comparing
from importer.file.sidebyside import Pieces
from importer.folder import TenantFolder
from importer.model import GuardReason, ImportState, Outcome
from importer.reconcile.run import BESIDE_BYTES
from importer.requests import Approval, DryRunRequest
from importer.rules.identity import identity_of
from importer.rules.settings import ImportSettings
from importer.users.users import Users
from importer.worker.pruning import prune
from server.notify.invitations import DueInvitations
from server.notify.inviter import BUSY_S
from server.notify.retries import THREE_DAYS
from server.tenants.settings import change_settings
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.deeds import BY_HAND, FORM, SETTINGS
from tests.support.importing import Company, passing_folder
from tests.support.installation import company_in
from tests.support.queues import open_queue
from tests.support.seen import QUERIES, first_difference, seen
from tests.support.staff import Staff

BEFORE = {EMBEDDED: before, "postgres": before_in_postgres}
"""The module that stores the lines of the previous file, by engine."""


class History:
    """A random history: the company's list as its HR system has it, and what happens to it."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.dice = random.Random(seed)
        many = seed % 3 == 0  # only the changed cells of some rows are read
        pieces = Pieces(self.dice.choice((1, 1, 300)), self.dice.choice((1, 150, 700, 4000)))
        if many:
            pieces = Pieces(1, self.dice.randrange(700, 4000))
        size = self.dice.choice((1, 3, 50))
        self.folder = folder
        first = 0 if self.dice.random() < 0.1 else BESIDE_BYTES  # a second process reads small first files, too
        self.both = []
        for name, cut, least in (("beside", pieces, first), ("alone", None, BESIDE_BYTES)):
            (folder / name).mkdir()
            self.both.append(company_in(folder / name, batch_rows=size, pieces=cut, beside_bytes=least))
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.settings: dict[str, Any] = {}
        self.staff = Staff(self.dice, many=many)
        self.content = b""
        self.held: Approval | None = None
        self.did: list[str] = []

    async def begin(self) -> None:
        """Save the settings and import the first file."""
        identifier = "number" if self.dice.random() < 0.4 else "email"
        await self.save({"custom_fields": SETTINGS["custom_fields"][0], "identifier": identifier})
        await self.save({"blank_cells": self.dice.choice(SETTINGS["blank_cells"])})
        self.content = self.staff.write(self.settings)
        await self.send()

    async def step(self) -> None:
        steps: dict[Callable[[], Awaitable[None]], int] = {
            self.new_file: 50,
            self.same_file: 8,
            self.by_hand: 8,
            self.pass_days: 9,
            self.choose: 6,
            self.protect: 2,
            self.invite: 2,
            self.retain: 2,
            self.try_settings: 3,
            self.try_file: 2,
            self.undo: 3,
            self.lose_copies: 2,
            self.crash: 3,
            self.correct: 3,
        }
        await self.dice.choices(list(steps), list(steps.values()))[0]()

    # Files.

    async def new_file(self) -> None:
        self.edit()
        self.content = self.staff.write(self.settings)
        await self.send(dry_run=self.dice.random() < 0.05)

    def edit(self) -> None:
        for _ in range(self.dice.choice((0, 1, 1, 2))):
            self.did.append(self.staff.edit())

    async def same_file(self) -> None:
        await self.send()

    async def send(self, *, dry_run: bool = False) -> None:
        self.did.append(f"import{' (dry run)' if dry_run else ''}")
        self.now += timedelta(seconds=1)
        outcomes = [
            await company.run(self.content, dry_run=dry_run, approval=self.held, now=self.now, **self.settings)
            for company in self.both
        ]
        await self.compare(outcomes)
        self.held = None
        guard = outcomes[0].guard
        if outcomes[0].state is ImportState.HELD and guard and self.dice.random() < 0.6:
            users = frozenset(each["user_id"] for each in self.both[0].touched() if each["action"] == "deactivated")
            self.held = Approval("hr", "2026-01-01T00:00:00Z", tuple(map(GuardReason, guard.reasons)), users)
            if self.dice.random() < 0.3:  # other users may be deactivated by now
                await self.by_hand()
            await self.send()

    async def crash(self) -> None:
        """Stop an import at a random step before it is applied, and run it again."""
        after = self.dice.randrange(1, 6)
        self.did.append("an import is stopped, and run again")
        await self.compare([await self.stopped(company, after) for company in self.both])

    async def stopped(self, company: Company, after: int) -> Outcome:
        asked = iter(range(after))
        try:
            return await company.run(
                self.content, now=self.now, stopping=lambda: next(asked, None) is None, **self.settings
            )
        except Stopped:
            company.imports -= 1
            return await company.run(self.content, now=self.now, **self.settings)

    async def correct(self) -> None:
        company = self.both[0]
        errors = company.messages / f"{company.imports}.errors.csv"
        if not errors.exists():
            return
        content = errors.read_bytes()
        for wrong, right in ((b"#N/A", b""), (b"king", b"admin"), (b"soon", b""), (b"gone@x.org", b"a1@x.org")):
            content = content.replace(wrong, right)
        self.did.append("a correction")
        self.now += timedelta(seconds=1)
        await self.compare([await each.run(content, now=self.now, **self.settings) for each in self.both])

    # Actions on the page and by commands.

    async def choose(self) -> None:
        """Change some settings: one, or how files are written."""
        names = self.dice.choice(([self.dice.choice(list(SETTINGS))], ["identifier"], FORM))
        await self.save({name: self.dice.choice(SETTINGS[name]) for name in names})

    async def save(self, changes: dict[str, Any]) -> None:
        """Save settings as the page does: all, or none if they conflict."""
        self.did.append(f"save {changes}")

        async def save(users: Users) -> None:
            await change_settings(users, changes, by="owner", public_url="https://hr.example.com")

        if await self.each(save) == [None, None]:
            self.settings |= changes

    async def try_settings(self) -> None:
        """Test other settings on the newest file."""
        names = self.dice.sample(list(SETTINGS), self.dice.choice((1, 1, 2)))
        if self.dice.random() < 0.4:
            names = ["identifier"]
        changes = {name: self.dice.choice(SETTINGS[name]) for name in names}
        await self.try_out(self.content, DryRunRequest("owner", changes, self.both[0].imports))

    async def try_file(self) -> None:
        """Test a file on the page."""
        self.edit()
        await self.try_out(self.staff.write(self.settings), DryRunRequest("owner"))

    async def try_out(self, content: bytes, trial: DryRunRequest) -> None:
        self.did.append(f"try {trial.changes or 'a file'}")
        self.now += timedelta(seconds=1)

        async def run(company: Company) -> Outcome | str:
            try:
                return await company.run(content, dry_run=True, trial=trial, now=self.now, **self.settings)
            except Refusal as error:
                return repr(error)

        beside, alone = [await run(company) for company in self.both]
        if isinstance(beside, Outcome) and isinstance(alone, Outcome):
            await self.compare([beside, alone])
        assert isinstance(beside, str) is isinstance(alone, str), (beside, alone, self.did)
        assert not isinstance(beside, str) or beside == alone, (beside, alone, self.did)

    async def undo(self) -> None:
        self.did.append("undo")
        done = []
        for company in self.both:
            named = {name: self.settings[name] for name in ("identifier", "custom_fields")}
            async with company.kept.undoing(0, identity_of(ImportSettings(**named))) as undoing:
                newest = await undoing.newest()
            done.append(newest and (await company.undo(newest, **named)).to_json())
        assert done[0] == done[1], self.did

    async def protect(self) -> None:
        number, protected = self.dice.randrange(1, 60), self.dice.random() < 0.7
        identity = identity_of(ImportSettings(**self.settings))
        identifier = f"a{number}@x.org" if identity.by_address else str(number)
        self.did.append(f"{'protect' if protected else 'unprotect'} {identifier}")
        await self.each(lambda users: users.set_protected(identifier, protected, identity))

    async def by_hand(self) -> None:
        statement, user = self.dice.choice(BY_HAND), self.dice.randrange(1, 60)
        self.did.append(f"{statement} ({user})")
        for company in self.both:
            with suppress(sqlite3.IntegrityError, psycopg.IntegrityError):
                await company.sql(statement, {"user": user})

    # Work of the server, and time that passes.

    async def pass_days(self) -> None:
        days = self.dice.choice((1, 1, 3, 5, 20, 400, -3))
        self.did.append(f"{days} days pass")
        self.now += timedelta(days=days)

    async def invite(self) -> None:
        """Send some of the due invitations, or fail to."""
        self.did.append("invitations are sent")
        sent, wanted = self.dice.random() < 0.7, self.settings.get("invitations", "off")

        async def send(users: Users) -> list[int]:
            async with users.invitations(BUSY_S) as opened:
                on_hire_date = wanted == "on_hire_date"
                invitations = DueInvitations(opened, lambda: self.now, THREE_DAYS, on_hire_date=on_hire_date)
                if wanted == "off":
                    await invitations.withdraw()
                    return []
                due = (await invitations.due())[:5]
                for invitation in [await invitations.begin(user) for user in due]:
                    if invitation and sent:
                        await invitations.sent(invitation)
                    elif invitation:
                        await invitations.failed(invitation, "no such mailbox", for_good=True)
                return due

        await self.each(send)

    async def retain(self) -> None:
        """Prune what is older than a day."""
        self.did.append("the past is pruned")
        async with open_queue(self.folder, "acme") as queue:
            for company in self.both:
                folder = TenantFolder(company.folder)
                await prune(queue, "acme", folder, company.kept, retention_days=1, now=self.now)

    async def lose_copies(self) -> None:
        self.did.append("copies are pruned")
        for company in self.both:
            for file in company.folder.glob("*.csv"):
                file.unlink()

    # Both ways.

    async def each(self, work: Callable[[Users], Awaitable[object]]) -> list[Any]:
        """Return the result of `work`, which must be the same for both companies, or the reason if it is refused."""
        done: list[Any] = []
        for company in self.both:
            try:
                done.append(await work(company.kept))
            except Refusal as error:
                done.append(repr(error))
        assert done[0] == done[1], (*done, self.did)
        return done

    async def compare(self, outcomes: Sequence[Outcome]) -> None:
        beside, alone = [
            seen(await company.read(QUERIES), company.messages, company.imports, outcome.to_json())
            for company, outcome in zip(self.both, outcomes, strict=True)
        ]
        for name, theirs in alone.items():
            assert beside[name] == theirs, (name, *first_difference(beside[name], theirs), self.did)


async def play(seed: int, folder: Path, steps: int = 12) -> History:
    """Play the history of this seed. Raises AssertionError if the two ways differ."""
    history = History(seed, folder)
    with _as_in_long_files() if seed % 2 else nullcontext():
        await history.begin()
        for _ in range(steps):
            await history.step()
    return history


@contextmanager
def _as_in_long_files() -> Iterator[None]:
    """Treat a line that was some lines away in the previous file as far away."""
    lengths = {"NEAR_BYTES": 300, "FARTHEST_BYTES": 2000, "STEP_BYTES": 100, "PIECE_BYTES": 500, "COLD_BLOCKS": 20}
    with patch.multiple(comparing, **lengths), patch.object(BEFORE[chosen_engine()], "LINES_AT_ONCE", 5):
        yield


def main(clock: Callable[[], float] = time.monotonic) -> int:
    parser = argparse.ArgumentParser(description="Play random histories in two ways that must come to the same.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1, help="the first of them (1)")
    wanted = parser.parse_args()
    began, seed, steps = clock(), wanted.seed, 0
    while clock() - began < wanted.seconds:
        with passing_folder() as folder:
            try:
                history = asyncio.run(play(seed, Path(folder)))
            except Exception as error:
                print(json.dumps({"seed": seed, "error": repr(error)[:4000]}))
                return 1
        seed, steps = seed + 1, steps + len(history.did)
        if seed % 100 == 0:
            print(f"{seed - wanted.seed} histories, {steps} steps, no difference", flush=True)
    print(f"seeds {wanted.seed} to {seed - 1}: {steps} steps in {clock() - began:.0f} s, no difference")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
