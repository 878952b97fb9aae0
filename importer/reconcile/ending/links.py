"""Managers and coaches: find the linked users, and warn about links that are wrong.

A link names a user by identifier, or else by email address. The order of rows does not matter: a link that cannot be
resolved at once waits until all rows are in. (An identifier keeps its user during an import.) A link that names no
user is not changed, with a warning. A link to a deactivated user and a reporting loop are stored; the warning comes
when the link is set, or when the linked user is deactivated.
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
from importer.rules.nonvalues import means_no_value
from importer.users.importing.links import StoredLinks, Waiting

CACHED = 50_000
LOOP_NAMED = 1000
"""The most users of one reporting loop that a message names. A longer loop is a broken file."""


@dataclass(slots=True)
class RowLinks:
    """The links of one row: resolved columns, texts that must wait, and messages."""

    columns: dict[str, int | None] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


@dataclass(slots=True)
class Resolved:
    """The result of one batch of waiting links. `newly_changed` users were counted as unchanged before."""

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
        """User ids by text, of the texts looked up so far."""
        self._waiting = 0

    async def learn(self, texts: Set[object]) -> None:
        """Look up the users that these texts name, as far as they exist already."""
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
        """Return the manager and the coach of the row on `line`. `created`: new users of the same batch, by key."""
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
        """Keep these links until all rows are in."""
        if waiting:
            self._waiting += len(waiting)
            await self._stored.wait(waiting)

    async def resolve(self) -> AsyncIterator[Resolved]:
        """Write the links that waited, in batches, now that all rows are in."""
        after = 0
        while self._waiting:
            waiting = await self._stored.waiting(after)
            if not waiting:
                return
            after = waiting[-1].line
            yield await self._resolve_batch(waiting)

    async def _resolve_batch(self, waiting: Sequence[Waiting]) -> Resolved:
        found = await self._users_named({text for each in waiting for text in each.texts.values()})
        users = await self._roster.load(each.user_id for each in waiting if not each.created)
        resolved = Resolved([], 0)
        created, changes, settled = [], [], {}
        for each in waiting:
            columns, problems, by_address = self._columns(each, found)
            resolved.problems += problems
            # The address may belong to another user next time: no digest.
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

    async def _users_named(self, texts: Iterable[str]) -> dict[str, tuple[int, bool]]:
        """Return the user that each text names, and whether by the address; without texts that name no user."""
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
        """Yield warnings about active users with a deactivated manager or coach.

        Only where this import set the link or deactivated the linked user.
        """
        for name in LINK_FIELDS:
            async for found in self._stored.to_deactivated(name, self._roster.first_new_id):
                yield [
                    _deactivated(self._roster.named.line_of(user_id) or None, name, linked, user)
                    for user_id, user, linked in found
                ]

    async def loops(self) -> list[Problem]:
        """Return one warning for each reporting loop in which this import changed a manager."""
        first_new = self._roster.first_new_id
        changed = await self._stored.with_changed_manager(first_new)
        if not changed:
            return []
        # Every user in a loop is a manager: the others need no walk.
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
        # A row of this file closed the loop, so one of its members is on a line.
        line = min(line for member in members if (line := self._roster.named.line_of(member)))
        message = f"These users report to each other in a circle: {chain}. Change one of their managers."
        return Problem(Severity.WARNING, "reporting_loop", message, line, "manager")


def find_loops(managers: Mapping[int, int]) -> list[list[int]]:
    """Return the loops in a map of user to manager, each starting at its lowest id."""
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
    message = f"A user cannot be their own {name}; it was not changed. Name another user, or leave the cell blank."
    return Problem(Severity.WARNING, "link_to_oneself", message, line, name, shown(text))


def _unknown(line: int, name: str, text: str, identity: Identity) -> Problem:
    address = address_within(text)
    if address or (identity.by_address and text.count("@") > 1):
        what = f"only the address: {address}" if address else f"the email address of one {name}, not of several"
        message = f"Write {what}. The {name} was not changed."
        return Problem(Severity.WARNING, "malformed_link", message, line, name, shown(text))
    if means_no_value(text):
        message = (
            f"“{text}” does not name a user; the {name} was not changed. If there is no {name}, leave the cell "
            "blank, or map this value to a blank cell with the setting value_mapping."
        )
        return Problem(Severity.WARNING, "malformed_link", message, line, name, shown(text))
    if identity.by_address and "@" not in text:
        message = f"Write the email address of the {name} instead; the {name} was not changed."
        return Problem(Severity.WARNING, "malformed_link", message, line, name, shown(text))
    message = f"No such user; the {name} was not changed. Fix the cell or add a row."
    return Problem(Severity.WARNING, "unknown_link", message, line, name, shown(text))


def _deactivated(line: int | None, name: str, linked: str | None, user: str | None) -> Problem:
    # The line says which user it is: without the name, many such messages form one group.
    of = "" if line else f" of {user}"
    message = f"The {name}{of} is deactivated but was kept. Name an active user."
    return Problem(Severity.WARNING, "deactivated_link", message, line, name, shown(linked or ""))
