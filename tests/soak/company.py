"""The companies of the simulation, and their lists of users: the truth in the HR system. Pure."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

TITLES = ("Baker", "Clerk", "Driver", "Engineer", "Nurse", "Zoë’s assistant")
TEAMS = ("Night", "North", "Platform", "Sales", "South")
BAD_DATE = "31/31/2026"
"""A hire date that rejects its row."""
BEGIN_USERS = 40
LEAVER_ROWS_DAYS = 3
"""Days for which a leaver stays in the list."""


@dataclass(frozen=True, slots=True)
class Company:
    """The traits of a tenant. `whole`: its files are complete lists."""

    name: str
    settings: tuple[tuple[str, str], ...] = ()
    whole: bool = True
    mail: bool = False
    webhook: bool = False
    invites: bool = False
    digest: bool = False
    checksums: bool = False
    hooks: bool = False
    pauses: bool = False
    retention_days: int = 90
    stale_days: int = 0
    kept_bytes: int = 0
    quota_bytes: int = 4 * 1024**2

    def all_settings(self, webhook: str) -> dict[str, str]:
        """Return the settings to store; `webhook` is the address of the receiver."""
        found = {"deactivate_missing": str(self.whole).lower(), "retention_days": str(self.retention_days)}
        found |= {"notify_email": f"hr@{self.name}.example"} if self.mail else {}
        found |= {"notify_webhook": f"{webhook}/{self.name}"} if self.webhook else {}
        found |= {"invitations": "on_hire_date"} if self.invites else {}
        found |= {"notify_digest": "weekly"} if self.digest else {}
        found |= {"require_checksum": "true"} if self.checksums else {}
        found |= {"stale_after_days": str(self.stale_days)} if self.stale_days else {}
        found |= {"kept_bytes": str(self.kept_bytes)} if self.kept_bytes else {}
        found |= {"quota_bytes": str(self.quota_bytes)}
        return found | dict(self.settings)


COMPANIES = (
    Company("acme", mail=True, webhook=True, invites=True, digest=True, retention_days=20),
    Company("bolt", whole=False, mail=True, invites=True, retention_days=10, kept_bytes=4096),
    Company("cargo", webhook=True, checksums=True, retention_days=30, kept_bytes=40_000),
    Company("dune", mail=True, webhook=True, digest=True, stale_days=3),
    Company("echo", mail=True, pauses=True, retention_days=15, stale_days=6),
    Company("fern", webhook=True, hooks=True, retention_days=7, quota_bytes=262_144),
)
BY_NAME = {each.name: each for each in COMPANIES}


@dataclass(frozen=True, slots=True)
class Person:
    """A row of the list. `deactivate` is set in lists of changes only."""

    email: str
    last_name: str
    title: str
    team: str
    hire_date: date
    leave_date: date | None = None
    deactivate: bool = False

    @property
    def cells(self) -> list[str]:
        leaves = self.leave_date.isoformat() if self.leave_date else ""
        hired, flag = self.hire_date.isoformat(), "yes" if self.deactivate else ""
        return ["Ann", self.last_name, self.email, self.title, self.team, hired, leaves, flag]

    def has_left(self, now: datetime) -> bool:
        """Return whether this row is a leaver's at `now`: the last day is over at 12:00 UTC of the next day."""
        if self.deactivate:
            return True
        leaves = self.leave_date
        return leaves is not None and leaves >= self.hire_date and leaves < (now - timedelta(hours=12)).date()


HEADER = ("first_name", "last_name", "email", "job_title", "primary_team", "hire_date", "leave_date", "deactivate")


def written(rows: Iterable[Sequence[str]], header: Sequence[str] = HEADER) -> str:
    """Return these rows as a file with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


class Staff:
    """The users of a company in its HR system, who change by the day. The last one never leaves."""

    def __init__(self, company: Company, today: date) -> None:
        self.company = company
        self.people: list[Person] = []
        self.changed: list[Person] = []
        """Users with changes since the newest list of changes that was sent."""
        self._count = 0
        for _ in range(BEGIN_USERS):
            self.people.append(self._new(today - timedelta(days=self._count)))
        self.people.append(replace(self._new(today), email=f"last@{company.name}.example"))
        self.changed = list(self.people)

    def live(self, today: date, dice: random.Random) -> None:
        """Hire, change and let leave some users."""
        for _ in range(dice.choice((0, 0, 1, 2))):
            self._put(self._new(today + timedelta(days=dice.choice((-400, 0, 0, 3, 9)))), dice.randrange(20))
        for _ in range(dice.choice((0, 1, 3))):
            at = dice.randrange(len(self.people) - 1)
            person = self.people.pop(at)
            self._put(replace(person, title=dice.choice(TITLES), team=dice.choice(TEAMS)), at)
        if len(self.people) > BEGIN_USERS // 2 and dice.random() < 0.5:
            at = dice.randrange(len(self.people) - 1)
            person = self.people.pop(at)
            if self.company.whole and dice.random() < 0.5:
                if person.leave_date is None and person.hire_date <= today:
                    person = replace(person, leave_date=today + timedelta(days=dice.choice((-1, 0, 2))))
                self._put(person, at)
            elif not self.company.whole:
                self._note(replace(person, deactivate=True))
        over = today - timedelta(days=LEAVER_ROWS_DAYS)
        self.people = [each for each in self.people if each.leave_date is None or each.leave_date >= over]

    def rows(self) -> list[Person]:
        """Return what the HR system exports today: all users, or those that changed."""
        return list(self.people if self.company.whole else self.changed)

    def _new(self, hired: date) -> Person:
        self._count += 1
        email = f"u{self._count}@{self.company.name}.example"
        return Person(email, f"Lee {self._count}", TITLES[self._count % 5], TEAMS[self._count % 5], hired)

    def _put(self, person: Person, at: int) -> None:
        self.people.insert(at, person)
        self._note(person)

    def _note(self, person: Person) -> None:
        self.changed = [each for each in self.changed if each.email != person.email] + [person]
