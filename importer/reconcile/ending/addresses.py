"""Changed email addresses, where the address is not the identifier: set aside, applied together after the last row.

Two users may swap addresses in one file, or pass them on in a chain. Row by row this would break the rule that no two
users share an address. So a row that changes an address waits here as a whole until all other rows are in. If two
active users would share an address, the later row is rejected; if the other user is not in the file, the row is. This
repeats until no address is shared. A deactivated user loses the address. A leaver is deactivated in any case, keeps
the old address and gets a warning.
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
    """A row that was set aside and cannot be applied."""

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
        """Set these rows aside until all others are in."""
        if rows:
            self._any = True
            await self._stored.add(rows)

    async def settle(self) -> list[Problem]:
        """Decide which rows cannot be applied, and free the addresses for those that can.

        Return a notice for each deactivated user who loses an address.
        """
        if not self._any:
            return []
        losing = await self._stored.settle()
        users = await self._roster.load(each.user_id for each in losing)
        await self._roster.update([(users[each.user_id], {"email": None, "email_key": None}) for each in losing])
        # For a new user with the address there is another message: the two may be one person (pairs.py).
        return [_lost(each.line, str(users[each.user_id]["email"])) for each in losing if not each.to_new]

    async def rejected(self) -> AsyncIterator[list[Rejected]]:
        """Yield the rows that cannot be applied, in the order of the file."""
        if not self._any:
            return
        async for rows in self._stored.rejected():
            holders = await self._roster.load(_clashes(rows))
            yield [_reject(row, *self._holder(row, holders)) for row in rows]

    async def leavers(self) -> AsyncIterator[list[tuple[SetAside, User, Problem]]]:
        """Yield the leavers whose new address another user has, each with a warning that it was not changed."""
        if not self._any:
            return
        async for rows in self._stored.leavers():
            users = await self._roster.load([*(row.user_id for row in rows), *_clashes(rows)])
            yield [(row, users[row.user_id], _not_changed(row, *self._holder(row, users))) for row in rows]

    def _holder(self, row: SetAside, users: Mapping[int, User]) -> tuple[User | None, int]:
        """Return the user who has the address, and the line of that user's row; 0 if no row has one."""
        clash = row.clash or 0
        return users.get(clash), self._roster.named.line_of(clash)

    async def taken(self, keys: Iterable[str]) -> set[str]:
        """Return those of `keys` that a user has, or a row set aside wants."""
        return await self._stored.taken(keys)

    async def applicable(self) -> AsyncIterator[list[tuple[SetAside, User | None]]]:
        """Yield the rows to apply now, each with its user as before the import removed the address."""
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
    message = f"{_holder(holder, holder_line)} has this address; two active users cannot share one. Change one."
    return Rejected(row.line, row.raw, row.created, _taken(Severity.ERROR, row, message))


def _not_changed(row: SetAside, holder: User | None, holder_line: int) -> Problem:
    message = (
        f"{_holder(holder, holder_line)} has this address. "
        "The user on this line was deactivated; the address was not changed."
    )
    return _taken(Severity.WARNING, row, message)


def _taken(severity: Severity, row: SetAside, message: str) -> Problem:
    return Problem(severity, "email_taken", message, row.line, "email", cast(str | None, row.columns["email"]))


def _holder(holder: User | None, line: int) -> str:
    where = f", on line {line}," if line else ", who is not in this file,"
    if holder is None:
        return f"Another user{where}"
    return f"{holder['first_name']} {holder['last_name']} ({holder['external_id']}){where}"


def _lost(line: int, email: str) -> Problem:
    message = "A deactivated user lost this address to the user on this line. Nothing to do."
    return Problem(Severity.NOTICE, "address_taken_over", message, line, "email", email)
