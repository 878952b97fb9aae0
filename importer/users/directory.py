"""The users of one tenant as people see them: look up, search, page, and write out as a `sync_users.csv`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Protocol, TypedDict

from importer.file.formulas import escape_formula
from importer.rules.cells import date_in, join_names
from importer.rules.meanings import columns_under
from importer.rules.settings import ImportSettings


class ShownUser(TypedDict):
    """A user as the API and the command line show one: names for ids. `custom` is JSON, by the key of the field."""

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


class Report(TypedDict):
    """A user who has another for a manager or coach, in short."""

    identifier: str | None
    name: str
    state: str


class Directory(Protocol):
    """The users of one tenant, who are told apart by its identity. Each answer is of one moment."""

    async def count_by_state(self) -> dict[str, int]:
        """How many users are active and how many deactivated."""

    async def page(
        self, *, search: str = "", state: str | None = None, limit: int = 100, after: int = 0, known: bool = False
    ) -> tuple[list[ShownUser], int | None]:
        """Up to `limit` users in the order they were created, and the `after` of the next page (None: no more).

        `search` looks for its words as search.py says; where no index can tell, for their letters anywhere in a name,
        the address or the identifier. With `known` those whose creation was undone are left out.
        """

    async def get(self, identifier: str) -> ShownUser | None:
        """The user of this identifier; None if there is nobody."""

    async def reports(self, identifier: str, limit: int = 100) -> dict[str, list[Report]]:
        """Whose manager and whose coach this user is (`manager_of`, `coach_of`), up to `limit` of each.

        Each with identifier, name and state, in the order they were created; without those whose creation was undone.
        """

    def everybody(self, batch: int = 1000, *, known: bool = False) -> AsyncIterator[list[ShownUser]]:
        """All users, deactivated ones too, in batches; with `known` not those whose creation was undone."""


class Export:
    """Users as rows of a `sync_users.csv` that a tenant may send: importing it changes nobody."""

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
        """One user, as a directory shows one."""
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
            with suppress(ValueError):  # from before the field held dates
                return date_in(value, self._date_format)
        return str(value)
