"""Read the users of one tenant as people see them: look up, search, page, and export as a `sync_users.csv`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypedDict

from importer.file.formulas import escape_formula
from importer.rules.cells import date_in, join_names
from importer.rules.meanings import columns_under
from importer.rules.settings import ImportSettings


class ShownUser(TypedDict):
    """A user as the API and the commands show it: names instead of ids. `custom` is JSON, by the key of the field."""

    first_name: str
    last_name: str
    email: str | None
    job_title: str | None
    manager: str | None
    coach: str | None
    primary_team: str | None
    secondary_team: list[str]
    role: str
    language: str
    location: str | None
    time_zone: str | None
    hire_date: str | None
    leave_date: str | None
    state: str
    protected: bool
    custom: dict[str, Any]


class StoredUser(Protocol):
    """A row with a user: values by the names of the columns, and names instead of ids in columns without `_id`."""

    def __getitem__(self, name: str, /) -> Any:
        """Return the value of a column."""


def shown_user(row: StoredUser, secondary_team: list[str]) -> ShownUser:
    """Return a stored user, who is in these secondary teams, as a directory shows one. `custom` is a JSON text."""
    return {
        "first_name": row["first_name"],
        "last_name": row["last_name"],
        "email": row["email"],
        "job_title": row["job_title"],
        "manager": row["manager"],
        "coach": row["coach"],
        "primary_team": row["primary_team"],
        "secondary_team": secondary_team,
        "role": row["role"],
        "language": row["language"],
        "location": row["location"],
        "time_zone": row["time_zone"],
        "hire_date": row["hire_date"],
        "leave_date": row["leave_date"],
        "state": row["state"],
        "protected": bool(row["protected"]),
        "custom": json.loads(row["custom"]),
    }


class Report(TypedDict):
    """A user with a given manager or coach, in short."""

    identifier: str | None
    name: str
    state: str


class Sort(StrEnum):
    """The order of a list of users. Names are compared without case and accents; users without a value come last."""

    CREATED = "created"
    NEWEST = "newest"
    LAST_NAME = "last_name"
    FIRST_NAME = "first_name"
    EMAIL = "email"
    TEAM = "primary_team"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The users of a list. `search` finds words as search.py defines.

    `team` is the name of a primary or secondary team, `location` that of a location; both are compared as in a file.
    None: any.
    """

    search: str = ""
    state: str | None = None
    team: str | None = None
    location: str | None = None
    protected: bool | None = None


ALL = Wanted()


class Directory(Protocol):
    """The users of one tenant, identified by its identity. Each answer is of one moment."""

    async def count_by_state(self) -> dict[str, int]:
        """Return how many users are active and how many are deactivated."""

    async def page(
        self, wanted: Wanted = ALL, *, limit: int = 100, after: int = 0, known: bool = False
    ) -> tuple[list[ShownUser], int | None]:
        """Return up to `limit` of the users in the order of their creation, and the `after` of the next page.

        It is None if there are no more. Without a usable index, a search looks for the letters of its words anywhere
        in a name, the address or the identifier. With `known`, users whose creation was undone are left out.
        """

    async def sorted_page(
        self, wanted: Wanted, sort: Sort, *, skip: int, limit: int, most: int
    ) -> tuple[list[ShownUser], int] | None:
        """Return up to `limit` of the users after the first `skip` in this order, and how many users there are.

        Return None if they are more than `most`: sorting them takes too long.
        """

    async def names(self, limit: int) -> tuple[list[str], list[str]]:
        """Return the names of the teams and of the locations, each in order, up to `limit` of each."""

    async def get(self, identifier: str) -> ShownUser | None:
        """Return the user with this identifier; None if there is none."""

    async def reports(self, identifier: str, limit: int = 100) -> dict[str, list[Report]]:
        """Return the users whose manager or coach this user is (`manager_of`, `coach_of`), up to `limit` of each.

        Each has identifier, name and state, in the order they were created; users whose creation was undone are left
        out.
        """

    def all_users(
        self, batch: int = 1000, *, known: bool = False, wanted: Wanted = ALL
    ) -> AsyncIterator[list[ShownUser]]:
        """Yield the users in batches, deactivated ones too; with `known` without those whose creation was undone."""


class Export:
    """Users as rows of a `sync_users.csv` that the tenant can send: importing it changes no user."""

    def __init__(self, settings: ImportSettings) -> None:
        names = settings.names
        headers = {name: names.header(name) for name in settings.columns}
        self.header = [escape_formula(header) for header in headers.values() if header]
        self._columns = [name for name, header in headers.items() if header]
        self._rules = columns_under(settings)
        self._date_format = settings.date_format
        self._own = settings.own
        self._dates = {"hire_date", "leave_date"} - self._own
        self._dates.update(field.key for field in settings.custom_fields if field.type == "date")

    def cells(self, user: ShownUser) -> list[str]:
        """Return the cells of one user, given as a directory shows it."""
        values: dict[str, object] = {**user, "deactivate": user["state"] == "deactivated" or None}
        values |= {key: user["custom"].get(key) for key in self._own}
        return [escape_formula(self._rules[name].cell(self._text(name, values.get(name)))) for name in self._columns]

    def _text(self, name: str, value: object) -> str:
        if value is None:
            return ""
        if isinstance(value, bool):
            return "1" if value else "0"
        if isinstance(value, list):
            return join_names(value)
        if name in self._dates and isinstance(value, str):
            with suppress(ValueError):  # a value from before the field's type was date
                return date_in(value, self._date_format)
        return str(value)
