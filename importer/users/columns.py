"""The columns of the table users: their values, their names for people, and columns with several ids. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict


class User(TypedDict):
    """One row of the table users, by column."""

    id: int
    external_id: str | None
    email_key: str | None
    email: str | None
    first_name: str
    last_name: str
    job_title: str | None
    manager_id: int | None
    coach_id: int | None
    primary_team_id: int | None
    secondary_team_ids: str
    role: str
    language: str
    location_id: int | None
    time_zone: str | None
    hire_date: str | None
    leave_date: str | None
    custom: str
    state: str
    protected: int
    known: int


Value = str | int | bytes | None
"""A value of one of these columns."""

Columns = dict[str, Value]
"""The columns to write of one user, with their new values."""

COLUMNS = (
    "external_id",
    "email_key",
    "email",
    "first_name",
    "last_name",
    "job_title",
    "manager_id",
    "coach_id",
    "primary_team_id",
    "secondary_team_ids",
    "role",
    "language",
    "location_id",
    "time_zone",
    "hire_date",
    "leave_date",
    "custom",
    "state",
)
"""The columns that an import writes, in the order of NEW_USER."""

NEW_USER: Columns = {
    **dict.fromkeys(COLUMNS),
    "secondary_team_ids": "",
    "role": "learner",
    "language": "en",
    "custom": "{}",
    "state": "active",
}
"""The values of a new user before the file's values, by column in the order of COLUMNS."""

CUSTOM = "custom."
"""The prefix of a custom field's key in the history."""

LINKED = {
    "manager_id": "users",
    "coach_id": "users",
    "primary_team_id": "teams",
    "secondary_team_ids": "teams",
    "location_id": "locations",
}
"""The columns that contain ids, and the table that the ids refer to."""

SHOWN_AS = {
    "manager_id": "manager",
    "coach_id": "coach",
    "primary_team_id": "primary_team",
    "secondary_team_ids": "secondary_team",
    "location_id": "location",
    "email_key": "email",
}
"""The columns that people know under another name."""


def ids_in(value: object) -> list[int]:
    """Return the ids in a column that contains one (a number) or several (a text with commas), in their order."""
    return [int(part) for part in str(value).split(",") if part] if value is not None else []


def join_ids(ids: Iterable[int]) -> str:
    """Return team ids as the column secondary_team_ids contains them: each once, in their order."""
    return ",".join(map(str, dict.fromkeys(ids)))
