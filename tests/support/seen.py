"""Read all that an import leaves of a company, to compare two ways of importing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

TABLES = {
    "users": "SELECT * FROM users ORDER BY id",
    "teams": "SELECT * FROM teams ORDER BY id",
    "locations": "SELECT * FROM locations ORDER BY id",
    "changes": "SELECT import_id, user_id, field, old, new, undo, more FROM changes",
    "applied": "SELECT import_id, outcome, rows, last_user, compared, header, undone FROM applied ORDER BY number",
    "invitations": "SELECT user_id, import_id, email_key, state FROM invitations ORDER BY user_id",
    "schema": "SELECT name, sql FROM sqlite_schema ORDER BY name",
}


def seen(database: Path, messages: Path, import_id: int, outcome: Any) -> dict[str, Any]:
    """Return users, history, and the messages and `outcome` (as JSON) of the import of this id."""
    with closing(sqlite3.connect(database)) as db:
        found: dict[str, Any] = {name: db.execute(query).fetchall() for name, query in TABLES.items()}
    found["changes"] = sorted(map(repr, _each(found["changes"])))
    found["applied"] = [tuple(map(_in_order, row)) for row in found["applied"]]
    found["outcome"] = _in_order(outcome)
    for end in ("jsonl", "errors.csv", "touched.jsonl"):
        file = messages / f"{import_id}.{end}"
        found[end] = sorted(file.read_bytes().splitlines()) if file.exists() else None
    return found


def _in_order(outcome: Any) -> Any:
    """Return an outcome, as JSON or read from it, with its messages in one order.

    A batch end decides whether a message about a link comes with its row or at the end.
    """
    if isinstance(outcome, str) and outcome.startswith('{"state"'):
        outcome = json.loads(outcome)
    if isinstance(outcome, dict) and "messages" in outcome:
        return {**outcome, "messages": sorted(map(repr, outcome["messages"]))}
    return outcome


def _each(records: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Yield one change a user; a record may be about several users."""
    for import_id, user_id, *change, more in records:
        for one in range(user_id - more, user_id + 1):
            yield import_id, one, *change


def first_difference(ours: Any, theirs: Any) -> tuple[Any, Any]:
    """Return the first parts that differ, or the lengths if one is the beginning of the other."""
    if isinstance(ours, bytes) and isinstance(theirs, bytes):
        ours, theirs = ours.split(b"\n"), theirs.split(b"\n")
    if isinstance(ours, dict) and isinstance(theirs, dict):
        ours, theirs = list(ours.items()), list(theirs.items())
    if isinstance(ours, list) and isinstance(theirs, list):
        found = next(((one, other) for one, other in zip(ours, theirs, strict=False) if one != other), None)
        return found or (len(ours), len(theirs))
    return ours, theirs
