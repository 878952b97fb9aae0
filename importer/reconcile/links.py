"""Managers and coaches: who is meant, and what to warn of.

A link is resolved by identifier, else by e-mail address, after all rows are in, so the order of rows does not matter.
One that can be resolved at once is (an identifier can't come to mean somebody else during an import); the others wait
until the end. A link that can't be resolved stays as it was, with a warning; one to a deactivated user and a
reporting loop are stored, with a warning when the link is set or its end is deactivated.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from importer.model import Problem, Severity, shown
from importer.reconcile.plan import LINK_FIELDS, differences
from importer.reconcile.roster import Roster
from importer.rules.cells import FieldValue
from importer.rules.emails import address_within, email_key
from importer.rules.identity import Identity
from importer.rules.nonvalues import says_nothing
from importer.users.importing.links import StoredLinks, Waiting

CACHED = 50_000
LOOP_NAMED = 1000
"""So many people of one reporting loop are named: a longer one is no loop of managers but a broken file."""


@dataclass(slots=True)
class RowLinks:
    """The links of one row: columns that are known already, texts that must wait, and what to say."""

    columns: dict[str, int | None] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


@dataclass(slots=True)
class Resolved:
    """What one batch of waiting links came to."""

    problems: list[Problem]
    newly_changed: int


class Links:
    """The links of one import."""

    def __init__(self, stored: StoredLinks, roster: Roster) -> None:
        self._stored = stored
        self._roster = roster
        self._identity = roster.identity
        self._key = roster.identity.key
        self.known: dict[str | None, int] = {}
        """Whom a text names, for those looked up so far."""
        self._waiting = 0

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

    async def wait(self, waiting: Sequence[Waiting]) -> None:
        """Keep these until all rows are in."""
        if waiting:
            self._waiting += len(waiting)
            await self._stored.wait(waiting)

    async def resolve(self) -> AsyncIterator[Resolved]:
        """All rows are in: write the links that waited, in batches."""
        after = 0
        while self._waiting:
            waiting = await self._stored.waiting(after)
            if not waiting:
                return
            after = waiting[-1].line
            yield await self._resolve_batch(waiting)

    async def _resolve_batch(self, waiting: Sequence[Waiting]) -> Resolved:
        found = await self._whom({text for each in waiting for text in each.texts.values()})
        users = await self._roster.load(each.user_id for each in waiting if not each.created)
        resolved = Resolved([], 0)
        created, changes, settled = [], [], {}
        for each in waiting:
            columns, problems, by_address = self._columns(each, found)
            resolved.problems += problems
            # A link found by an address may mean somebody else next time, though the row is the same.
            settled[each.user_id] = each.settles and not problems and not by_address
            if each.created:
                created.append((columns.get("manager_id"), columns.get("coach_id"), each.user_id))
                continue
            user = users[each.user_id]
            if changed := differences(user, columns):
                resolved.newly_changed += not each.changed
                changes.append((user, changed))
        await self._stored.link_new(created)
        await self._roster.update(changes)
        self._roster.named.settle(settled)
        return resolved

    def _columns(
        self, waiting: Waiting, found: Mapping[str, tuple[int, bool]]
    ) -> tuple[dict[str, int], list[Problem], bool]:
        columns: dict[str, int] = {}
        problems = []
        by_address = False
        for name, text in waiting.texts.items():
            target, address = found.get(text, (0, False))
            by_address |= address
            if not target:
                problems.append(_unknown(waiting.line, name, text, self._identity))
            elif target == waiting.user_id:
                problems.append(_oneself(waiting.line, name, text))
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
            ids = await self._stored.holders([email_key(text) for text in rest])
            found |= {text: (ids[email_key(text)], True) for text in rest if email_key(text) in ids}
        return found

    # Warnings about what is stored.

    async def to_deactivated(self) -> AsyncIterator[list[Problem]]:
        """Active users with a deactivated manager or coach, where this import set the link or deactivated its end."""
        for name in LINK_FIELDS:
            async for found in self._stored.to_deactivated(name, self._roster.first_new_id):
                yield [
                    _deactivated(self._roster.named.line_of(user_id) or None, name, whom, whose)
                    for user_id, whose, whom in found
                ]

    async def loops(self) -> list[Problem]:
        """One warning for each reporting loop that this import closed a link of."""
        first_new = self._roster.first_new_id
        changed = await self._stored.with_changed_manager(first_new)
        if not changed:
            return []
        # Everybody in a loop is somebody's manager: only those need to be walked.
        loops = find_loops(dict(await self._stored.managers()))
        return [
            await self._loop(loop)
            for loop in loops
            if any(member >= first_new or member in changed for member in loop)
        ]

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
