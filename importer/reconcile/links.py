"""Managers and coaches: who is meant, and what to warn of.

A link is resolved by identifier, else by e-mail address, after all rows are in, so the order of rows does not matter.
One that can be resolved at once is (an identifier can't come to mean somebody else during an import); the others wait
in a temporary table. A link that can't be resolved stays as it was, with a warning; one to a deactivated user and a
reporting loop are stored, with a warning when the link is set or its end is deactivated.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Set
from dataclasses import dataclass, field

import aiosqlite

from importer.model import Problem, Severity, shown
from importer.reconcile.plan import LINK_FIELDS, differences
from importer.reconcile.roster import Roster
from importer.rules.cells import FieldValue
from importer.rules.emails import address_within, email_key
from importer.rules.identity import Identity
from importer.rules.nonvalues import says_nothing
from importer.users.columns import Columns

CACHED = 50_000
BATCH = 2000
LOOP_NAMED = 1000
"""So many people of one reporting loop are named: a longer one is no loop of managers but a broken file."""


@dataclass(slots=True)
class RowLinks:
    """The links of one row: columns that are known already, texts that must wait, and what to say."""

    columns: dict[str, int | None] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A user whose links wait for the end. `changed`: the import has counted this user as changed already."""

    user_id: int
    line: int
    texts: Mapping[str, str]
    settles: bool
    changed: bool
    created: bool


@dataclass(slots=True)
class Resolved:
    """What one batch of waiting links came to."""

    problems: list[Problem]
    newly_changed: int


class Links:
    """The links of one import."""

    def __init__(self, db: aiosqlite.Connection, roster: Roster, import_id: int) -> None:
        self._db = db
        self._roster = roster
        self._identity = roster.identity
        self._key = roster.identity.key
        self._import_id = import_id
        self.known: dict[str | None, int] = {}
        """Whom a text names, for those looked up so far."""
        self._waiting = 0

    async def open(self) -> None:
        await self._db.execute(
            "CREATE TEMP TABLE waiting_links (line INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, manager TEXT,"
            " coach TEXT, settles INTEGER NOT NULL, changed INTEGER NOT NULL, created INTEGER NOT NULL)"
        )

    async def learn(self, texts: Set[object]) -> None:
        """Look up whom these texts name, as far as they are known already."""
        keys = {text: self._key(text) for text in texts if isinstance(text, str) and text not in self.known}
        if not keys:
            return
        if len(self.known) + len(keys) > CACHED:
            self.known.clear()
        found = await self._roster.find(keys.values())
        self.known.update((text, found[key]) for text, key in keys.items() if key in found)

    def of(
        self, values: Mapping[str, FieldValue], line: int, user_id: int, created: Mapping[str | None, int]
    ) -> RowLinks:
        """What the row on `line` says of manager and coach; `created`: who is being created beside it, by key."""
        links = RowLinks()
        for name in LINK_FIELDS:
            if name not in values:
                continue
            text = values[name]
            if not isinstance(text, str):
                links.columns[f"{name}_id"] = None
                continue
            found = self.known.get(text) or created.get(self._key(text))
            if found == user_id:
                links.problems.append(_oneself(line, name, text))
            elif found:
                links.columns[f"{name}_id"] = found
            else:
                links.waiting[name] = text
        return links

    async def wait(self, waiting: Iterable[Waiting]) -> None:
        """Keep these until all rows are in."""
        rows = [
            (w.line, w.user_id, w.texts.get("manager"), w.texts.get("coach"), w.settles, w.changed, w.created)
            for w in waiting
        ]
        if rows:
            self._waiting += len(rows)
            await self._db.executemany("INSERT INTO waiting_links VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    async def resolve(self) -> AsyncIterator[Resolved]:
        """All rows are in: write the links that waited, in batches."""
        after = 0
        while self._waiting:
            rows = list(
                await self._db.execute_fetchall(
                    "SELECT * FROM waiting_links WHERE line > ? ORDER BY line LIMIT ?", (after, BATCH)
                )
            )
            if not rows:
                return
            after = rows[-1]["line"]
            yield await self._resolve_batch(rows)

    async def _resolve_batch(self, rows: list[aiosqlite.Row]) -> Resolved:
        texts = {row[name] for row in rows for name in LINK_FIELDS if row[name] is not None}
        found = await self._whom(texts)
        users = await self._roster.load(row["user_id"] for row in rows if not row["created"])
        resolved = Resolved([], 0)
        created, changes, settled = [], [], {}
        for row in rows:
            columns, problems, by_address = self._columns(row, found)
            resolved.problems += problems
            # A link found by an address may mean somebody else next time, though the row is the same.
            settled[row["user_id"]] = bool(row["settles"]) and not problems and not by_address
            if row["created"]:
                created.append((columns.get("manager_id"), columns.get("coach_id"), row["user_id"]))
                continue
            user = users[row["user_id"]]
            if changed := differences(user, columns):
                resolved.newly_changed += not row["changed"]
                changes.append((user, changed))
        await self._db.executemany(
            "UPDATE users SET manager_id = coalesce(?, manager_id), coach_id = coalesce(?, coach_id) WHERE id = ?",
            created,
        )
        await self._roster.update(changes)
        self._roster.named.settle(settled)
        return resolved

    def _columns(
        self, row: aiosqlite.Row, found: Mapping[str, tuple[int, bool]]
    ) -> tuple[Columns, list[Problem], bool]:
        columns: Columns = {}
        problems = []
        by_address = False
        for name in LINK_FIELDS:
            text = row[name]
            if text is None:
                continue
            target, address = found.get(text, (0, False))
            by_address |= address
            if not target:
                problems.append(_unknown(row["line"], name, text, self._identity))
            elif target == row["user_id"]:
                problems.append(_oneself(row["line"], name, text))
            else:
                columns[f"{name}_id"] = target
        return columns, problems, by_address

    async def _whom(self, texts: Iterable[str]) -> dict[str, tuple[int, bool]]:
        """Whom each text names, and whether it took the address to tell; texts that name nobody are missing."""
        texts = list(texts)
        known = await self._roster.find(self._key(text) for text in texts)
        found = {text: (known[self._key(text)], False) for text in texts if self._key(text) in known}
        rest = [text for text in texts if text not in found]
        if rest and not self._identity.by_address:
            rows = await self._db.execute_fetchall(
                "SELECT email_key, id FROM users WHERE known = 1 AND email_key IN (SELECT value FROM json_each(?))",
                (json.dumps([email_key(text) for text in rest]),),
            )
            ids = {row[0]: row[1] for row in rows}
            found |= {text: (ids[email_key(text)], True) for text in rest if email_key(text) in ids}
        return found

    # Warnings about what is stored.

    async def to_deactivated(self) -> AsyncIterator[list[Problem]]:
        """Active users with a deactivated manager or coach, where this import set the link or deactivated its end."""
        for name in LINK_FIELDS:
            async with self._db.execute(
                f"""
                SELECT u.id, coalesce(u.email, u.external_id) AS whose, coalesce(m.email, m.external_id) AS whom
                FROM users AS m INDEXED BY users_deactivated
                CROSS JOIN users AS u ON u.{name}_id = m.id
                WHERE m.state = 'deactivated' AND u.state = 'active' AND (
                    u.id >= :first_new OR EXISTS (SELECT 1 FROM changes AS c
                        WHERE c.user_id = u.id AND c.import_id = :import_id AND c.field IN (:field, 'created'))
                    OR EXISTS (SELECT 1 FROM changes AS c
                        WHERE c.user_id = m.id AND c.import_id = :import_id AND c.field = 'state')
                )""",  # noqa: S608 - one of two columns
                {
                    "import_id": self._import_id,
                    "field": f"{name}_id",
                    "first_new": self._roster.first_new_id,
                },
            ) as cursor:
                while rows := list(await cursor.fetchmany(BATCH)):
                    yield [
                        _deactivated(self._roster.named.line_of(row[0]) or None, name, row["whom"], row["whose"])
                        for row in rows
                    ]

    async def loops(self) -> list[Problem]:
        """One warning for each reporting loop that this import closed a link of."""
        changed = await self._changed_managers()
        if not changed:
            return []
        # Everybody in a loop is somebody's manager: only those need to be walked.
        rows = await self._db.execute_fetchall(
            "SELECT id, manager_id FROM users WHERE manager_id IS NOT NULL AND id IN"
            " (SELECT DISTINCT manager_id FROM users WHERE manager_id IS NOT NULL)"
        )
        loops = find_loops({row[0]: row[1] for row in rows})
        first_new = self._roster.first_new_id
        return [
            await self._loop(loop)
            for loop in loops
            if any(member >= first_new or member in changed for member in loop)
        ]

    async def _changed_managers(self) -> set[int]:
        rows = await self._db.execute_fetchall(
            "SELECT user_id FROM changes WHERE import_id = ?"
            " AND (field = 'manager_id' OR (field = 'created' AND user_id < ?))",
            (self._import_id, self._roster.first_new_id),
        )
        changed = {row[0] for row in rows}
        new = await self._db.execute_fetchall(
            "SELECT id FROM users WHERE id >= ? AND +manager_id IS NOT NULL LIMIT 1", (self._roster.first_new_id,)
        )
        return changed | {row[0] for row in new}

    async def _loop(self, members: list[int]) -> Problem:
        users = await self._roster.load(members[:LOOP_NAMED])
        names = [str(users[member]["email"] or users[member]["external_id"]) for member in members[:LOOP_NAMED]]
        rest = len(members) - len(names)
        chain = " -> ".join([*names, f"({rest} more)" if rest else names[0]])
        # A loop is closed by a row of this file, so a member is on a line of it.
        line = min(line for member in members if (line := self._roster.named.line_of(member)))
        message = f"These people report to each other in a circle: {chain}. Correct one of their managers."
        return Problem(Severity.WARNING, "reporting_loop", message, line, "manager")


def find_loops(managers: Mapping[int, int]) -> list[list[int]]:
    """The loops in a map of user to manager, each from its lowest member on."""
    loops = []
    walked: set[int] = set()
    for start in managers:
        path: dict[int, None] = {}
        here: int | None = start
        while here is not None and here not in walked and here not in path:
            path[here] = None
            here = managers.get(here)
        if here in path:
            members = list(path)[list(path).index(here) :]
            lowest = members.index(min(members))
            loops.append(members[lowest:] + members[:lowest])
        walked.update(path)
    return loops


def _oneself(line: int, name: str, text: str) -> Problem:
    message = (
        f"Nobody can be their own {name}; the {name} stays as it was. Write somebody else, or leave the cell blank."
    )
    return Problem(Severity.WARNING, "link_to_oneself", message, line, name, shown(text))


def _unknown(line: int, name: str, text: str, identity: Identity) -> Problem:
    address = address_within(text)
    if address or (identity.by_address and text.count("@") > 1):
        what = f"the address alone: {address}" if address else f"the e-mail address of one {name}, not of several"
        message = f"Write {what}. The {name} stays as it was."
        return Problem(Severity.WARNING, "malformed_link", message, line, name, shown(text))
    if says_nothing(text):
        message = (
            f"No user is called “{text}”; the {name} stays as it was. If there is no {name}, leave the cell blank, "
            "or have this value read as blank: the setting value_mapping can do that."
        )
        return Problem(Severity.WARNING, "malformed_link", message, line, name, shown(text))
    if identity.by_address and "@" not in text:
        message = f"Write the e-mail address of the {name} instead; the {name} stays as it was."
        return Problem(Severity.WARNING, "malformed_link", message, line, name, shown(text))
    message = (
        f"There is no such user, in this file or from before; the {name} stays as it was. "
        f"Correct the cell, or add a row for the {name}."
    )
    return Problem(Severity.WARNING, "unknown_link", message, line, name, shown(text))


def _deactivated(line: int | None, name: str, whom: str | None, whose: str | None) -> Problem:
    # Where the line says whose it is, the sentence is the same for many.
    of = "" if line else f" of {whose}"
    message = f"The {name}{of} is deactivated but was kept. Name an active user."
    return Problem(Severity.WARNING, "deactivated_link", message, line, name, shown(whom or ""))
