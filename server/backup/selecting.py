"""Decide what of a data folder belongs to a backup. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from server.backup.manifest import Entry

MADE_AGAIN = {"search.db", "staging"}
"""Names in a tenant's folder that the server makes again: the search index, and unfinished uploads."""

NEWEST = "backup.newest"
"""The file in the data folder that says when its newest complete backup began: see newest.py."""

MOVES = {"moved-to", "moved-from"}
"""The marks of a move: a folder that is restored is not the one that was moved."""

LEFT_OUT = {"headcount.lock", "headcount.reserve", "headcount.reserve.new", NEWEST, "lost+found", *MOVES}
"""Names in the data folder that belong to a running server, to its backups, to a move or to the file system."""

LOGS = ("-wal", "-shm", "-journal")
"""Ends of the names that SQLite keeps beside a database; a copy needs none of them."""

PLACES = {"files", "uploads", "messages", "runs"}
"""The fixed folders in a tenant's folder that belong to a backup."""

HEADCOUNT_DB, USERS_DB = "headcount.db", "users.db"

_DATABASES = (HEADCOUNT_DB, USERS_DB, "search.db")
_LOGS = {f"{database}{end}" for database in _DATABASES for end in LOGS}
_COPIES = tuple(f"{database}.schema-" for database in _DATABASES)

_NUMBERED = re.compile(r"(?:sync_users-)?([0-9]{1,18})\.")
_OF_A_RUN = re.compile(r"(?!sync_users-)[a-z][a-z0-9_]*-([0-9]{1,18})\.")


def belongs(path: str) -> bool:
    """Return whether what is at `path`, relative to the data folder, is part of a backup.

    Databases are too, but never as plain files (`is_database`).
    """
    parts = path.split("/")
    if parts[0] in {"tenants", "removed"} and len(parts) > 1:
        return _belongs_to_tenant(parts[1:])
    return len(parts) > 1 or not (parts[0].startswith(".") or parts[0] in LEFT_OUT or _beside_database(parts[0]))


def is_database(path: str) -> bool:
    """Return whether `path` is headcount.db or the users.db of a tenant."""
    parts = path.split("/")
    return parts == [HEADCOUNT_DB] or (
        len(parts) == 3 and parts[0] in {"tenants", "removed"} and parts[2] == USERS_DB
    )


def is_place(path: str) -> bool:
    """Return whether `path` is that of a fixed folder of a tenant."""
    parts = path.split("/")
    return len(parts) == 3 and parts[0] in {"tenants", "removed"} and parts[2] in PLACES


def _belongs_to_tenant(parts: list[str]) -> bool:
    if parts[0].startswith("."):
        return False
    if len(parts) == 1:
        return True
    inside = parts[1]
    if inside.startswith(".") or inside in MADE_AGAIN or inside.endswith(".new") or _beside_database(inside):
        return False
    if len(parts) == 3 and inside == "messages":
        return not parts[2].startswith(".")
    return not (len(parts) == 3 and inside == "uploads" and parts[2].endswith(".sha256"))


def _beside_database(name: str) -> bool:
    """Return whether `name` is a log of a database, or a copy made before an upgrade."""
    return name in _LOGS or name.startswith(_COPIES)


def of_this_moment(entries: Iterable[Entry], last_import: int, last_run: int) -> Iterator[Entry]:
    """Yield the entries of a tenant without the files of imports and runs that the backup does not know yet."""
    for entry in entries:
        parts = entry.path.split("/")[2:]
        number = _number(parts)
        if number is None or number <= (last_run if _is_of_run(parts) else last_import):
            yield entry


def needed_paths(tenant: str, imports: Collection[int], runs: Collection[int], names: Collection[str]) -> list[str]:
    """Return the paths that these imports and runs need, of the `names` in messages of the tenant."""
    base = f"tenants/{tenant}"
    messages = (f"{base}/messages/{name}" for name in names if _number(["messages", name]) in imports)
    copies = (f"{base}/uploads/{number}.csv" for number in imports)
    return sorted((*messages, *copies, *(f"{base}/runs/{number}.file" for number in runs)))


def merged(*parts: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return the entries of all parts by path; a later part wins. A path below that of a file is left out."""
    found: dict[str, Entry] = {}
    for part in parts:
        found.update(part)
    return {path: entry for path, entry in found.items() if _folder_of(path, found)}


def _folder_of(path: str, found: Mapping[str, Entry]) -> bool:
    """Return whether each parent of `path` that is listed is a folder."""
    above = path.rpartition("/")[0]
    while above:
        parent = found.get(above)
        if parent is not None and parent.sha256 is not None:
            return False
        above = above.rpartition("/")[0]
    return True


def _number(parts: list[str]) -> int | None:
    """Return the import or run that a file belongs to, by its path in the tenant's folder."""
    if parts[:2] == ["files", "results"]:
        parts = parts[1:]
    if len(parts) < 2 or parts[0] not in {"uploads", "messages", "runs", "results"}:
        return None
    found = _NUMBERED.match(parts[1]) or (_OF_A_RUN.match(parts[1]) if parts[0] == "results" else None)
    return int(found[1]) if found else None


def _is_of_run(parts: list[str]) -> bool:
    return parts[0] == "runs" or (parts[:2] == ["files", "results"] and bool(_OF_A_RUN.match(parts[2])))
