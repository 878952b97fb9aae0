"""Read all that an import leaves of a company, to compare two ways of importing."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.importing import Company

Rows = Mapping[str, Sequence[dict[str, Any]]]
"""The rows of each query, by its name."""

QUERIES = {
    "users": "SELECT * FROM users ORDER BY id",
    "teams": "SELECT * FROM teams ORDER BY id",
    "locations": "SELECT * FROM locations ORDER BY id",
    "changes": "SELECT import_id, user_id, field, old, new, undo, more FROM changes",
    "applied": "SELECT import_id, outcome, rows, last_user, compared, header, undone FROM applied ORDER BY number",
    "invitations": "SELECT user_id, import_id, email_key, state FROM invitations ORDER BY user_id",
}
NAMED = {"teams": ("primary_team_id", "secondary_team_ids"), "locations": ("location_id",)}
"""The fields of users with ids of teams and of locations."""
if chosen_engine() == EMBEDDED:
    QUERIES["schema"] = "SELECT name, sql FROM sqlite_schema ORDER BY name"
BEFORE = {
    "before": "SELECT import_id, size, sha256 FROM before",
    "before_lines": "SELECT users FROM before_lines ORDER BY part",
    "touched": "SELECT user_id FROM touched ORDER BY user_id",
}
"""The traces of its file that an import leaves for the next one."""
ENDS = ("jsonl", "errors.csv", "touched.jsonl")
"""The ends of the names of the files of an import."""


def seen(rows: Rows, messages: Path, import_id: int, outcome: Any) -> dict[str, Any]:
    """Return users, history, and the messages and `outcome` (as JSON) of the import of this id.

    `rows` are those of `QUERIES`.
    """
    files = {end: messages / f"{import_id}.{end}" for end in ENDS}
    read = {end: file.read_bytes() if file.exists() else None for end, file in files.items()}
    return _comparable(rows, read) | {"outcome": _in_order(outcome)}


async def seen_of(company: Company, kept: Callable[[str], bytes | None], import_id: int) -> dict[str, Any]:
    """Return users, history, messages, and what is stored for the next import.

    `kept` returns a kept file of the company by its path in `TenantFolder`.
    """
    rows = await company.read(QUERIES | BEFORE)
    before: dict[str, Any] = {name: rows.pop(name) for name in BEFORE}
    lines = array("i", b"".join(row["users"] for row in before["before_lines"]))
    before["before_lines"] = [(line, user) for line, user in enumerate(lines) if user]
    return _comparable(rows, {end: kept(f"messages/{import_id}.{end}") for end in ENDS}) | before


def _comparable(rows: Rows, files: Mapping[str, bytes | None]) -> dict[str, Any]:
    """Return the rows and files of an import with all in one order."""
    found: dict[str, Any] = dict(rows if chosen_engine() == EMBEDDED else _with_ranks(rows))
    found["changes"] = sorted(map(repr, _each(found["changes"])))
    found["applied"] = [{name: _in_order(value) for name, value in row.items()} for row in found["applied"]]
    return found | {end: content and sorted(content.splitlines()) for end, content in files.items()}


def _with_ranks(rows: Rows) -> Rows:
    """Replace the ids of teams and locations by their places in the order of ids.

    An engine other than the embedded one does not use an id of a transaction again that was rolled back. The tenant's
    number is left out.
    """
    for names, fields in NAMED.items():
        cells = [(row, "id") for row in rows[names]]
        cells += [(row, field) for row in rows["users"] for field in fields]
        cells += [(row, end) for row in rows["changes"] if row["field"] in fields for end in ("old", "new")]
        ids = {each for row, name in cells for each in _ids(row[name])}
        ranks = {each: rank for rank, each in enumerate(sorted(ids))}
        for row, name in cells:
            if row[name] is not None:
                row[name] = [ranks[each] for each in _ids(row[name])]
    return {
        name: [{key: row[key] for key in row if key != "tenant_id"} for row in each] for name, each in rows.items()
    }


def _ids(value: int | str | None) -> list[int]:
    return [] if value is None else [int(each) for each in str(value).split(",") if each]


def _in_order(outcome: Any) -> Any:
    """Return an outcome, as JSON or read from it, with its messages in one order.

    A batch end decides whether a message about a link comes with its row or at the end.
    """
    if isinstance(outcome, str) and outcome.startswith('{"state"'):
        outcome = json.loads(outcome)
    if isinstance(outcome, dict) and "messages" in outcome:
        return {**outcome, "messages": sorted(map(repr, outcome["messages"]))}
    return outcome


def _each(records: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """Yield one change a user; a record may be about several users."""
    for import_id, user_id, *change, more in (record.values() for record in records):
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
