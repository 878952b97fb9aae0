"""Read all that an import leaves of a company, to compare two ways of importing."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.importing import Company

TABLES = {
    "users": "SELECT * FROM users ORDER BY id",
    "teams": "SELECT * FROM teams ORDER BY id",
    "locations": "SELECT * FROM locations ORDER BY id",
    "changes": "SELECT import_id, user_id, field, old, new, undo, more FROM changes",
    "applied": "SELECT import_id, outcome, rows, last_user, compared, header, undone FROM applied ORDER BY number",
    "invitations": "SELECT user_id, import_id, email_key, state FROM invitations ORDER BY user_id",
    "schema": "SELECT name, sql FROM sqlite_schema ORDER BY name",
}
IN_POSTGRES = {
    **{name: TABLES[name] for name in ("changes", "applied", "invitations")},
    "users": """
        SELECT to_jsonb(u) - 'tenant_id' - 'primary_team_id' - 'secondary_team_ids' - 'location_id',
            (SELECT key FROM teams WHERE id = primary_team_id), (SELECT key FROM locations WHERE id = location_id),
            ARRAY(SELECT key FROM teams WHERE id::text = ANY (string_to_array(secondary_team_ids, ',')) ORDER BY key)
        FROM users AS u ORDER BY u.id""",
    "teams": "SELECT key, name FROM teams ORDER BY key",
    "locations": "SELECT key, name FROM locations ORDER BY key",
}
"""The same of a tenant in PostgreSQL. All tenants share the numbers of teams and locations, so their names count."""
BEFORE = {
    "before": "SELECT import_id, size, sha256 FROM before",
    "before_lines": "SELECT users FROM before_lines ORDER BY part",
    "touched": "SELECT user_id FROM touched ORDER BY user_id",
}
"""The traces of its file that an import leaves for the next one."""
ENDS = ("jsonl", "errors.csv", "touched.jsonl")
"""The ends of the names of the files of an import."""


def seen(database: Path, messages: Path, import_id: int, outcome: Any) -> dict[str, Any]:
    """Return users, history, and the messages and `outcome` (as JSON) of the import of this id."""
    with closing(sqlite3.connect(database)) as db:
        found: dict[str, Any] = {name: db.execute(query).fetchall() for name, query in TABLES.items()}
    files = {end: messages / f"{import_id}.{end}" for end in ENDS}
    read = {end: file.read_bytes() if file.exists() else None for end, file in files.items()}
    return _comparable(found, read) | {"outcome": _in_order(outcome)}


async def seen_of(company: Company, kept: Callable[[str], bytes | None], import_id: int) -> dict[str, Any]:
    """Return users, history, messages, and what is stored for the next import, of whichever engine.

    `kept` returns a kept file of the company by its path in `TenantFolder`.
    """
    tables = TABLES if chosen_engine() == EMBEDDED else IN_POSTGRES
    found: dict[str, Any] = {name: await company.sql(query) for name, query in (tables | BEFORE).items()}
    lines = array("i", b"".join(users for (users,) in found["before_lines"]))
    found["before_lines"] = [(line, user) for line, user in enumerate(lines) if user]
    return _comparable(found, {end: kept(f"messages/{import_id}.{end}") for end in ENDS})


def _comparable(found: dict[str, Any], files: Mapping[str, bytes | None]) -> dict[str, Any]:
    """Return the rows and files of an import with all in one order."""
    found["changes"] = sorted(map(repr, _each(found["changes"])))
    found["applied"] = [tuple(map(_in_order, row)) for row in found["applied"]]
    return found | {end: content and sorted(content.splitlines()) for end, content in files.items()}


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
