"""Changed e-mail addresses, where an address is not the identifier: set aside, and applied last, together.

Two people may swap theirs in one file, or a chain move on: row by row that would break the rule that no two users
share an address. So rows that change one wait here, whole, until all others are in. While two active users would
share an address, the later row is rejected (against somebody who is not in the file: the row), until none do; a
deactivated holder loses the address. A leaver leaves all the same, with the address of before and a warning.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from importer.model import Problem, Severity
from importer.reconcile.roster import Roster
from importer.users.columns import User
from importer.users.importing.addresses import RowsAside, SetAside


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that was set aside and can't be applied."""

    line: int
    raw: str
    created: bool
    problem: Problem


class Addresses:
    """The rows of one import that change an address."""

    def __init__(self, stored: RowsAside, roster: Roster) -> None:
        self._stored = stored
        self._roster = roster
        self._any = False

    @property
    def any(self) -> bool:
        """Whether a row waits here."""
        return self._any

    async def add(self, rows: Sequence[SetAside]) -> None:
        """Keep these rows until all others are in."""
        if rows:
            self._any = True
            await self._stored.add(rows)

    async def settle(self) -> list[Problem]:
        """Decide which rows can't be applied, and free the addresses of those that can. Notices for who loses one."""
        if not self._any:
            return []
        losing = await self._stored.settle()
        users = await self._roster.load(each.user_id for each in losing)
        await self._roster.update([(users[each.user_id], {"email": None, "email_key": None}) for each in losing])
        # Of a new user with the address it is said that the two may be one person (pairs.py).
        return [_lost(each.line, str(users[each.user_id]["email"])) for each in losing if not each.to_new]

    async def rejected(self) -> AsyncIterator[list[Rejected]]:
        """The rows that can't be applied, in the order of the file."""
        if not self._any:
            return
        async for rows in self._stored.rejected():
            holders = await self._roster.load(_clashes(rows))
            yield [_reject(row, *self._holder(row, holders)) for row in rows]

    async def leavers(self) -> AsyncIterator[list[tuple[SetAside, User, Problem]]]:
        """The rows of those who leave without the address that somebody else has, each with a warning."""
        if not self._any:
            return
        async for rows in self._stored.leavers():
            users = await self._roster.load([*(row.user_id for row in rows), *_clashes(rows)])
            yield [(row, users[row.user_id], _stays(row, *self._holder(row, users))) for row in rows]

    def _holder(self, row: SetAside, users: Mapping[int, User]) -> tuple[User | None, int]:
        """Who has the address instead, and on which line."""
        clash = row.clash or 0
        return users.get(clash), self._roster.named.line_of(clash)

    async def taken(self, keys: Iterable[str]) -> set[str]:
        """Those of `keys` that somebody has, or a row set aside wants."""
        return await self._stored.taken(keys)

    async def applicable(self) -> AsyncIterator[list[tuple[SetAside, User | None]]]:
        """The rows to apply now, each with its user as before the import took the address from them."""
        if not self._any:
            return
        async for rows in self._stored.applicable():
            users = await self._roster.load(row.user_id for row in rows if not row.created)
            yield [(row, _restored(row, users.get(row.user_id))) for row in rows]


def _clashes(rows: Iterable[SetAside]) -> list[int]:
    return [row.clash for row in rows if row.clash is not None]


def _restored(row: SetAside, user: User | None) -> User | None:
    return None if user is None else {**user, "email": row.old_email, "email_key": row.old_key}


def _reject(row: SetAside, holder: User | None, holder_line: int) -> Rejected:
    message = (
        f"This address belongs to {_whose(holder, holder_line)}, and two active users can't share one. "
        "Correct one of the two."
    )
    return Rejected(row.line, row.raw, row.created, _taken(Severity.ERROR, row, message))


def _stays(row: SetAside, holder: User | None, holder_line: int) -> Problem:
    message = (
        f"This address belongs to {_whose(holder, holder_line)}. "
        "The user is deactivated all the same; the address stays as it was."
    )
    return _taken(Severity.WARNING, row, message)


def _taken(severity: Severity, row: SetAside, message: str) -> Problem:
    return Problem(severity, "email_taken", message, row.line, "email", cast(str | None, row.columns["email"]))


def _whose(holder: User | None, line: int) -> str:
    where = f", on line {line}" if line else ", who is not in this file"
    if holder is None:
        return f"somebody else{where}"
    return f"{holder['first_name']} {holder['last_name']} ({holder['external_id']}){where}"


def _lost(line: int, email: str) -> Problem:
    message = (
        "A deactivated user had this address and has lost it to the person on this line. Nothing needs to be done."
    )
    return Problem(Severity.NOTICE, "address_taken_over", message, line, "email", email)
