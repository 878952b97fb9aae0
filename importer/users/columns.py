"""The columns of users: which hold ids, which go by another name, and how several ids stand in one.  Pure."""

from __future__ import annotations

from collections.abc import Iterable

CUSTOM = "custom."
"""What the history has before the key of a custom field."""

LINKED = {
    "manager_id": "users",
    "coach_id": "users",
    "primary_team_id": "teams",
    "secondary_team_ids": "teams",
    "location_id": "locations",
}
"""The columns that hold ids, and the table that the ids are of."""

SHOWN_AS = {
    "manager_id": "manager",
    "coach_id": "coach",
    "primary_team_id": "primary_team",
    "secondary_team_ids": "secondary_team",
    "location_id": "location",
    "email_key": "email",
}
"""The columns that people know by another name."""


def ids_in(value: object) -> list[int]:
    """Return the ids in a column that holds one (a number) or several (a text with commas), in their order."""
    return [int(part) for part in str(value).split(",") if part] if value is not None else []


def join_ids(ids: Iterable[int]) -> str:
    """Return team ids as the column secondary_team_ids holds them: each once, in their order."""
    return ",".join(map(str, dict.fromkeys(ids)))
