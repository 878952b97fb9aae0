"""Random histories of one company, played twice: with files read side by side with the one before, and read alone.

Whatever happens between two files, both ways must come to the same: users, history, counts, messages, rejected rows,
whom a held import touches. `python -m tests.support.histories --seconds 3600` plays them for an hour, one seed after
the other, and ends with 1 at the first difference.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import json
import random
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from importer.errors import Stopped
from importer.file.sidebyside import Pieces
from importer.model import GuardReason, ImportState, Outcome
from importer.requests import Approval
from tests.support.importing import Company, passing_folder

COLUMNS = ("first_name", "last_name", "email", "number")
MORE: dict[str, Sequence[str]] = {
    "job_title": ("", "Baker", "Boss", "-", "#N/A", "a\nb", 'the "boss"', "Züge", "x, y"),
    "manager": ("", "a1@x.org", "a2@x.org", "a30@x.org", "1", "2", "gone@x.org"),
    "coach": ("", "a3@x.org", "a4@x.org", "3"),
    "primary_team": ("", "Ops", "Sales", "Care", "ops"),
    "secondary_team": ("", "Ops", "Sales,Ops", "Care"),
    "location": ("", "Bonn", "Köln"),
    "role": ("", "learner", "admin", "king"),
    "deactivate": ("", "", "", "", "yes", "no"),
    "active": ("yes", "yes", "yes", "no"),
    "leave_date": ("", "", "", "2020-01-31", "2026-01-05", "2026-01-20", "soon"),
    "hire_date": ("", "2019-01-01", "2026-01-03", "01.02.2020"),
    "End Date": ("", "", "2020-01-31", "2026-01-08"),
    "Notes": ("n" * 90, "m" * 60, "é" * 40, ""),
    "desk": ("", "D1", "D2", "none", "NULL"),
}
TABLES = {
    "users": "SELECT * FROM users ORDER BY id",
    "teams": "SELECT * FROM teams ORDER BY id",
    "locations": "SELECT * FROM locations ORDER BY id",
    "changes": "SELECT import_id, user_id, field, old, new, undo, more FROM changes",
    "applied": "SELECT import_id, outcome, rows, last_user, compared, header, undone FROM applied ORDER BY number",
    "invitations": "SELECT user_id, import_id, email_key, state FROM invitations ORDER BY user_id",
}
BY_HAND = (
    "UPDATE users SET job_title = 'By hand' WHERE id = :user",
    "UPDATE users SET state = 'deactivated' WHERE id = :user",
    "UPDATE users SET state = 'active' WHERE id = :user",
    "UPDATE users SET protected = 1 - protected WHERE id = :user",
    "UPDATE users SET manager_id = NULL WHERE id = :user",
    "UPDATE users SET email = 'hand' || id || '@x.org', email_key = 'hand' || id || '@x.org' WHERE id = :user",
    "UPDATE users SET role = 'admin' WHERE id = :user",
    "DELETE FROM users WHERE id = :user",
    "UPDATE teams SET name = name || '!', key = key || '!' WHERE id = 1",
    "DELETE FROM teams WHERE id = 2",
    "DELETE FROM locations WHERE id = 1",
    "INSERT INTO users (email, email_key, first_name, last_name) VALUES ('a30@x.org', 'a30@x.org', 'N', 'W')",
)
SETTINGS: dict[str, Sequence[Any]] = {
    "deactivate_missing": (True, False),
    "reactivate_returning": (True, False),
    "blank_cells": ("clear", "keep"),
    "max_deactivations_percent": (100, 100, 20),
    "detect_truncation": (False, True),
    "require_final_newline": (True, False),
    "skip_last_lines": (0, 0, 2),
    "skip_first_lines": (0, 0, 1),
    "delimiter": (",", ",", ";"),
    "encoding": ("utf-8", "utf-8", "cp1252"),
    "field_mapping": ({}, {"active": "active"}),
    "value_mapping": ({}, {"desk": {"none": ""}}),
    "invitations": ("off", "off", "immediately", "on_hire_date"),
}

Person = dict[str, str]


class History:
    """One random history: the company's list as its HR system has it, and what happens to it."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.dice = random.Random(seed)
        pieces = Pieces(self.dice.choice((1, 1, 300)), self.dice.choice((1, 150, 700, 4000)))
        size = self.dice.choice((1, 3, 50))
        self.both = []
        for name, cut in (("beside", pieces), ("alone", None)):
            (folder / name).mkdir()
            self.both.append(Company(folder / name, batch_rows=size, pieces=cut))
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.settings: dict[str, Any] = {"custom_fields": [{"key": "desk"}, {"key": "number"}]}
        if self.dice.random() < 0.4:
            self.settings["identifier"] = "number"
        self.columns = [name for name in MORE if self.dice.random() < 0.5]
        self.people = [self.person(number) for number in range(1, self.dice.randrange(4, 60))]
        self.form = {"bom": False, "crlf": False, "quoting": csv.QUOTE_MINIMAL, "utf16": False}
        self.content = b""
        self.held: Approval | None = None
        self.did: list[str] = []

    def person(self, number: int) -> Person:
        return {
            "first_name": f"F{number}",
            "last_name": self.dice.choice(("Smith", "Öz", "O'Neil", "")) or "Smith",
            "email": f"a{number}@x.org",
            "number": str(number),
            **{name: self.dice.choice(values) for name, values in MORE.items()},
        }

    # What happens to the list.

    def edit(self) -> None:
        what = self.dice.choice(
            (self.change, self.change, self.change, self.leave, self.join, self.shuffle, self.swap, self.repeat)
        )
        self.did.append(what.__name__)
        what()

    def change(self) -> None:
        for _ in range(self.dice.choice((1, 1, 3, 20))):
            if self.people:
                name = self.dice.choice([*self.columns, "last_name", "email", "number"])
                person = self.dice.choice(self.people)
                values = MORE.get(name) or ("Other", "a5@x.org", "a77@x.org", "5", "77", "", person[name])
                person[name] = self.dice.choice(values)

    def leave(self) -> None:
        for _ in range(self.dice.choice((1, 2, 10))):
            if len(self.people) > 1:
                self.people.pop(self.dice.randrange(len(self.people)))

    def join(self) -> None:
        for _ in range(self.dice.choice((1, 2, 10))):
            at = self.dice.randrange(len(self.people) + 1)
            self.people.insert(at, self.person(self.dice.randrange(1, 120)))

    def shuffle(self) -> None:
        self.dice.shuffle(self.people)

    def swap(self) -> None:
        if len(self.people) > 3:
            start = self.dice.randrange(len(self.people) - 2)
            self.people[start : start + 3] = reversed(self.people[start : start + 3])

    def repeat(self) -> None:
        if self.people:
            person = dict(self.dice.choice(self.people))
            if self.dice.random() < 0.5:
                person["job_title"] = "Twice"
            self.people.insert(self.dice.randrange(len(self.people) + 1), person)

    # How it is written.

    def write(self) -> bytes:
        if self.dice.random() < 0.15:
            self.form = {
                "bom": self.dice.random() < 0.3,
                "crlf": self.dice.random() < 0.4,
                "quoting": self.dice.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_MINIMAL)),
                "utf16": self.dice.random() < 0.1,
            }
        if self.dice.random() < 0.06:
            self.columns = [name for name in MORE if self.dice.random() < 0.5]
        text = io.StringIO()
        names = [*COLUMNS, *self.columns]
        end = "\r\n" if self.form["crlf"] else "\n"
        writer = csv.DictWriter(
            text,
            names,
            extrasaction="ignore",
            lineterminator=end,
            delimiter=self.settings.get("delimiter", ","),
            quoting=self.form["quoting"],  # type: ignore[arg-type]
        )
        if self.settings.get("skip_first_lines"):
            text.write(f"A list{end}")
        writer.writeheader()
        for person in self.people:
            writer.writerow(person)
            if self.dice.random() < 0.01:
                text.write(end)
        if self.settings.get("skip_last_lines"):
            text.write(f"Total{end}END{end}")
        if self.form["utf16"]:
            return text.getvalue().encode("utf-16")
        encoding = self.settings.get("encoding", "utf-8")
        mark = b"\xef\xbb\xbf" if self.form["bom"] else b""
        return self.spoil(mark + text.getvalue().encode("utf-8" if mark else encoding, "replace"))

    def spoil(self, content: bytes) -> bytes:
        dice = self.dice.random()
        at = self.dice.randrange(len(content))
        if dice < 0.05:
            return content[:at]
        if dice < 0.08:
            return content[:at] + self.dice.choice((b'"', b"\n", b"\0", b"\xff", b"\r", b"\x1a", b",")) + content[at:]
        if dice < 0.1:
            return content.rstrip(b"\r\n")
        if dice < 0.12:
            return content + b"\x1a"
        return content

    # What happens.

    async def step(self) -> None:
        dice = self.dice.random()
        if dice < 0.62:
            for _ in range(self.dice.choice((0, 1, 1, 2))):
                self.edit()
            self.content = self.write()
            await self.send(dry_run=self.dice.random() < 0.05)
        elif dice < 0.7:
            await self.send()
        elif dice < 0.78:
            await self.by_hand()
        elif dice < 0.83:
            self.did.append("a day passes")
            self.now += timedelta(days=self.dice.choice((1, 5, 400)))
        elif dice < 0.88:
            name = self.dice.choice(sorted(SETTINGS))
            self.settings[name] = self.dice.choice(SETTINGS[name])
            self.did.append(f"{name} = {self.settings[name]}")
        elif dice < 0.91:
            await self.undo()
        elif dice < 0.94:
            self.lose_copies()
        elif dice < 0.97:
            await self.crash()
        else:
            await self.correct()

    async def send(self, *, dry_run: bool = False) -> None:
        if not self.content:
            return
        self.did.append(f"import{' (dry run)' if dry_run else ''}")
        self.now += timedelta(seconds=1)
        outcomes = [
            await company.run(self.content, dry_run=dry_run, approval=self.held, now=self.now, **self.settings)
            for company in self.both
        ]
        self.compare(outcomes)
        self.held = None
        guard = outcomes[0].guard
        if outcomes[0].state is ImportState.HELD and guard and self.dice.random() < 0.6:
            users = frozenset(each["user_id"] for each in self.both[0].touched() if each["action"] == "deactivated")
            self.held = Approval("hr", "2026-01-01T00:00:00Z", tuple(map(GuardReason, guard.reasons)), users)
            await self.send()

    async def by_hand(self) -> None:
        statement, user = self.dice.choice(BY_HAND), self.dice.randrange(1, 60)
        self.did.append(f"{statement} ({user})")
        for company in self.both:
            with closing(sqlite3.connect(company.database)) as db, db:
                try:
                    db.execute(statement, {"user": user})
                except sqlite3.IntegrityError:
                    db.rollback()

    async def undo(self) -> None:
        self.did.append("undo")
        done = []
        for company in self.both:
            with closing(sqlite3.connect(company.database)) as db:
                newest = db.execute(
                    "SELECT import_id FROM applied WHERE undone IS NULL AND outcome NOT LIKE '%\"unchanged\"%'"
                    " ORDER BY number DESC LIMIT 1"
                ).fetchone()
            named = {name: self.settings[name] for name in ("identifier", "custom_fields") if name in self.settings}
            done.append(newest and (await company.undo(newest[0], **named)).to_json())
        assert done[0] == done[1], self.did

    def lose_copies(self) -> None:
        self.did.append("copies are pruned")
        for company in self.both:
            for file in company.folder.glob("*.csv"):
                file.unlink()

    async def crash(self) -> None:
        """An import that ends before it is applied, at any of its steps."""
        if not self.content:
            return
        after = self.dice.randrange(1, 6)
        self.did.append("an import is stopped, and tried again")
        outcomes = [await self.stopped(company, after) for company in self.both]
        self.compare(outcomes)

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
        self.compare([await each.run(content, now=self.now, **self.settings) for each in self.both])

    def compare(self, outcomes: Sequence[Outcome]) -> None:
        beside, alone = (self.seen(company, outcome) for company, outcome in zip(self.both, outcomes, strict=True))
        for name, theirs in alone.items():
            assert beside[name] == theirs, (name, *_first_difference(beside[name], theirs), self.did)

    @staticmethod
    def seen(company: Company, outcome: Outcome) -> dict[str, Any]:
        """All that there is to see of the company after an import."""
        with closing(sqlite3.connect(company.database)) as db:
            seen: dict[str, Any] = {name: db.execute(query).fetchall() for name, query in TABLES.items()}
        seen["changes"] = sorted(map(repr, _each(seen["changes"])))
        for end in ("jsonl", "errors.csv", "touched.jsonl"):
            file = company.messages / f"{company.imports}.{end}"
            seen[end] = sorted(file.read_bytes().splitlines()) if file.exists() else None
        seen["outcome"] = _in_order(outcome.to_json())
        seen["applied"] = [tuple(map(_in_order, row)) for row in seen["applied"]]
        return seen


def _in_order(outcome: Any) -> Any:
    """What an import came to, as JSON or read from it, with its messages in one order.

    Where a link is told of, with its row or at the end, depends on where a batch ends.
    """
    if isinstance(outcome, str) and outcome.startswith('{"state"'):
        outcome = json.loads(outcome)
    if isinstance(outcome, dict) and "messages" in outcome:
        return {**outcome, "messages": sorted(map(repr, outcome["messages"]))}
    return outcome


def _each(records: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """A change a user of records that may be about several."""
    for import_id, user_id, *change, more in records:
        for one in range(user_id - more, user_id + 1):
            yield import_id, one, *change


def _first_difference(ours: Any, theirs: Any) -> tuple[Any, Any]:
    if isinstance(ours, bytes) and isinstance(theirs, bytes):
        ours, theirs = ours.split(b"\n"), theirs.split(b"\n")
    if isinstance(ours, dict) and isinstance(theirs, dict):
        ours, theirs = list(ours.items()), list(theirs.items())
    if isinstance(ours, list) and isinstance(theirs, list):
        found = next(((one, other) for one, other in zip(ours, theirs, strict=False) if one != other), None)
        return found or (len(ours), len(theirs))
    return ours, theirs


async def play(seed: int, folder: Path, steps: int = 12) -> History:
    """Play the history of this seed. Raises AssertionError where the two ways differ."""
    history = History(seed, folder)
    history.content = history.write()
    await history.send()
    for _ in range(steps):
        await history.step()
    return history


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
