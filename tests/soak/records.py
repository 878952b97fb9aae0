"""Users and imports as the model has them, and what a row does to a user. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from tests.soak.company import Person

PRUNED_WITHIN = timedelta(days=3)
"""The longest time from the expiry of data to its deletion."""


@dataclass(frozen=True, slots=True)
class User:
    """A stored user. `known` is False if the import that created the user was undone."""

    active: bool
    title: str
    team: str
    hire_date: date
    leave_date: date | None
    known: bool = True


@dataclass(slots=True)
class Record:
    """One import. `shown` is the newest time that the server has seen since its end."""

    id: int
    size: int
    state: str = "queued"
    dry_run: bool = False
    correction: bool = False
    finished: datetime | None = None
    shown: datetime | None = None
    counts: dict[str, int] | None = None
    touched: frozenset[str] = frozenset()
    """The users that it changed."""
    before: Mapping[str, User] | None = None
    """All users before it, if it changed any."""
    rows: int = 0
    last_user: str = ""

    def expired(self, days: int, now: datetime) -> bool:
        """Return whether its data must be deleted."""
        return self.finished is not None and self.finished + timedelta(days=days) + PRUNED_WITHIN < now

    def fresh(self, days: int) -> bool:
        """Return whether its data must be there: the server has not seen a time at which it expires."""
        if self.finished is None or self.shown is None:
            return True
        return max(self.shown, self.finished) < self.finished + timedelta(days=days)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The effect of a file: the state, the counts, and the users after it."""

    state: str
    counts: dict[str, int] = field(default_factory=dict)
    users: Mapping[str, User] = field(default_factory=dict)
    touched: frozenset[str] = frozenset()


NOBODY = User(False, "", "", date.min, None)


def stored(row: Person, *, active: bool) -> User:
    return User(active, row.title, row.team, row.hire_date, row.leave_date)


def change_of(old: User | None, row: Person, now: datetime) -> str:
    """Return what a row does to a user: the name of the count, or "" for nothing."""
    leaves = row.has_left(now)
    if old is None or not old.known:
        return "" if leaves else "created"
    if old.active == leaves:
        return "deactivated" if leaves else "reactivated"
    return "" if old == stored(row, active=old.active) else "updated"
