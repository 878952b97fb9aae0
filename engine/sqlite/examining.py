"""The part of `headcount doctor` that knows the databases.

Everything here blocks, works beside a running server, and changes nothing. The functions raise DatabaseUnusable if a
database is damaged, SchemaTooNew if a newer Headcount wrote it, and TryAgain if it cannot be read now.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from engine.sqlite.backup import View
from engine.sqlite.database import newest_version

IMPORTS = (
    "SELECT tenant, id, size, (state IN ('queued', 'running') AND undo IS NULL) OR (state = 'held' AND dry_run = 0)"
    " FROM imports"
)
RUNS = (
    "SELECT tenant, id, size, state IN ('queued', 'running') AND NOT EXISTS (SELECT 1 FROM landed_files"
    " WHERE tenant = runs.tenant AND run_id = runs.id) FROM runs"
)
"""The files of runs that landed just before a crash are in the database: a start places them again."""
NEWEST = "SELECT max(at) FROM (SELECT uploaded_at AS at, max(id) FROM imports GROUP BY tenant)"
"""The time of the newest upload among the last of all tenants. A clock that was wrong earlier changes nothing."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The imports of a tenant, or its runs of hooks. `last` is the highest id that was ever given.

    `needed` are those that still read their files, with the sizes of these in bytes.
    """

    last: int
    ids: set[int] = field(default_factory=set)
    needed: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServerRows:
    """The content of headcount.db that folders of tenants must fit.

    `newest` is the time of the newest upload (RFC 3339), or None. `schema` is its version.
    """

    schema: int
    outdated: bool
    newest: str | None
    imports: dict[str, Rows]
    runs: dict[str, Rows]


@dataclass(frozen=True, slots=True)
class UserRows:
    """The same of a users.db: the version of its schema, and the highest id of an import that it has."""

    schema: int
    outdated: bool
    newest_import: int


def examine_server(path: Path) -> ServerRows:
    """Read all of the headcount.db at `path`."""
    with closing(View(path, "server")) as view:
        view.check()
        outdated = view.version < newest_version("server")
        imports = {name: Rows(last) for name, last in view.fetch("SELECT name, last_import_id FROM tenants")}
        _fill(imports, view, IMPORTS)
        runs = dict[str, Rows]()
        if not outdated:  # an older one may have no runs
            runs = {name: Rows(last) for name, last in view.fetch("SELECT name, last_run_id FROM tenants")}
            _fill(runs, view, RUNS)
        return ServerRows(view.version, outdated, view.fetch(NEWEST)[0][0], imports, runs)


def examine_users(path: Path) -> UserRows:
    """Read all of the users.db at `path`."""
    with closing(View(path, "tenant")) as view:
        view.check()
        newest = view.fetch("SELECT coalesce(max(import_id), 0) FROM applied")[0][0]
        return UserRows(view.version, view.version < newest_version("tenant"), newest)


def examine_index(path: Path) -> None:
    """Read all of the search index at `path`."""
    with closing(View(path, None)) as view:
        view.check()


def _fill(rows: dict[str, Rows], view: View, query: str) -> None:
    for tenant, number, size, needed in view.fetch(query):
        rows[tenant].ids.add(number)
        if needed:
            rows[tenant].needed[number] = size
