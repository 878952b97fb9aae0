"""The tables of both engines, and the form of their rows that is the same in both. Pure.

A test compares this list with the schemas: a table or column of either engine is here, or in `LEFT_OUT` with the
reason. A row is a tuple with the values of its columns, as PostgreSQL returns them: JSON is text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Kind(Enum):
    """How a value is stored."""

    PLAIN = "alike in both"
    FLAG = "0 or 1 with SQLite, a boolean with PostgreSQL"
    JSON = "JSON that keeps its text"
    FREE_JSON = "JSON whose text may change: PostgreSQL stores its keys in another order"
    VALUE = "any value with SQLite, JSON with PostgreSQL"
    IDS = "numbers of 32 bits: as the machine writes them with SQLite, the lowest byte first with PostgreSQL"
    OUTCOME = "with SQLite, an outcome with its messages; with PostgreSQL, without them"
    MESSAGES = "with SQLite, a part of the outcome; with PostgreSQL, a column"


class Owner(Enum):
    """The owner of the rows of a table, and so the place where SQLite has them."""

    TENANT = "a tenant, in headcount.db; a token also to no tenant"
    SIGN_IN = "the tenant of a token, in headcount.db"
    USERS = "a tenant, in its users.db"
    ALL = "the installation, in headcount.db"


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    kind: Kind = Kind.PLAIN


@dataclass(frozen=True, slots=True)
class Table:
    """One table: `key` are the columns that order the rows of one owner. Its name is the same in both engines."""

    name: str
    owner: Owner
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Numbering:
    """The row of `meta` of one tenant. Numbers of changes are those that applications follow.

    `began`: no number is below. `newest`: the highest that was ever given. `gone`: the highest that was ever deleted.
    """

    revision: int
    began: int
    gone: int
    newest: int

    def base(self, highest: int | None) -> int:
        """Return what SQLite adds to its ids, if `highest` is the highest number that is left; None: none is.

        The next id is one above the highest one, so the number after the newest must be `base` above it. If the
        newest changes were deleted, those that are left get other numbers, which are not shown (`gone`).
        """
        if highest is None:
            return max(self.began, self.newest)
        return max(self.began, self.newest - (highest - self.began))


@dataclass(frozen=True, slots=True)
class Counters:
    """The last numbers that were given, of those that are never given twice."""

    token: int
    move: int


def _table(name: str, owner: Owner, key: str, *columns: str, **kinds: Kind) -> Table:
    listed = tuple(Column(each, kinds.get(each, Kind.PLAIN)) for each in " ".join(columns).split())
    return Table(name, owner, listed, tuple(key.split()))


TOKENS = _table("tokens", Owner.TENANT, "id", "id hash role created_at expires_at comment email")
SESSIONS = _table("sessions", Owner.SIGN_IN, "hash", "hash token_id created_at expires_at")
LINKS = _table("sign_in_links", Owner.SIGN_IN, "hash", "hash token_id expires_at")
IMPORTS = _table(
    "imports",
    Owner.TENANT,
    "id",
    "id state dry_run sequence path size sha256 rows written correction uploaded_at started_at finished_at attempts"
    " not_before progress message outcome messages approval undo decided_by decided_at published",
    "trial",
    "applied_number sent_by tested users_as_of",
    dry_run=Kind.FLAG,
    written=Kind.JSON,
    correction=Kind.FLAG,
    outcome=Kind.OUTCOME,
    messages=Kind.MESSAGES,
    approval=Kind.JSON,
    undo=Kind.JSON,
    trial=Kind.JSON,
)
RUNS = _table(
    "runs",
    Owner.TENANT,
    "id",
    "id hook path state sequence size sha256 uploaded_at started_at finished_at attempts not_before message error"
    " outcome published",
    outcome=Kind.JSON,
)
CHECKSUMS = _table("checksums", Owner.TENANT, "id", "id dry_run sha256 after import_id", dry_run=Kind.FLAG)
OUTBOX = _table(
    "outbox",
    Owner.TENANT,
    "id",
    "id channel topic message_id content created_at state attempts not_before error finished_at waited_s",
    content=Kind.JSON,
)
KEY_USES = _table("key_uses", Owner.TENANT, "fingerprint", "fingerprint used_at address")
USERS = _table(
    "users",
    Owner.USERS,
    "id",
    "id external_id email_key email first_name last_name job_title manager_id coach_id primary_team_id"
    " secondary_team_ids role language location_id time_zone hire_date leave_date custom state protected known",
    protected=Kind.FLAG,
    known=Kind.FLAG,
)
CHANGES = _table(
    "changes",
    Owner.USERS,
    "id",
    "id import_id user_id more field old new undo",
    old=Kind.VALUE,
    new=Kind.VALUE,
    undo=Kind.FLAG,
)
"""`id` is the number of the change: with SQLite, its id plus `meta.base`."""

OF_TENANT: tuple[Table, ...] = (
    TOKENS,
    SESSIONS,
    LINKS,
    IMPORTS,
    RUNS,
    CHECKSUMS,
    OUTBOX,
    KEY_USES,
    _table("settings", Owner.USERS, "key", "key value"),
    _table("settings_changes", Owner.USERS, "id", "id changed_at changed_by key old new"),
    _table("teams", Owner.USERS, "id", "id key name"),
    _table("locations", Owner.USERS, "id", "id key name"),
    USERS,
    CHANGES,
    _table(
        "applied",
        Owner.USERS,
        "import_id",
        "import_id number applied_at outcome rows last_user compared header undone_at undone",
        outcome=Kind.FREE_JSON,
        undone=Kind.FREE_JSON,
        compared=Kind.FLAG,
    ),
    _table(
        "invitations",
        Owner.USERS,
        "user_id",
        "user_id import_id message_id state attempts not_before error sent_at email_key",
    ),
    _table("before", Owner.USERS, "import_id", "import_id size modified_ns sha256 salt past"),
    _table("before_lines", Owner.USERS, "part", "part users", users=Kind.IDS),
    _table("touched", Owner.USERS, "user_id", "user_id"),
)
"""The tables of a tenant, in the order in which rows refer to others."""

OF_ALL: tuple[Table, ...] = (
    TOKENS,
    SESSIONS,
    LINKS,
    _table("bans", Owner.ALL, "source", "source until reason"),
    _table("hooks_loaded", Owner.ALL, "module name path", "module name path"),
)
"""The tables whose rows belong to no tenant, or not all of them: tokens of operators."""

LEFT_OUT: dict[str, dict[str, str]] = {
    "sqlite": {
        "tenants": "read and written by itself: its row says that the tenant is here",
        "meta": "a Numbering",
        "before.one": "there is one row",
        "moves": "for pages that are open; a Counter keeps the number",
        "figures": "found out again",
        "search_log": "for the search index, which is made again",
        "landed_files": "a start empties it; until then nothing is moved",
    },
    "postgres": {
        "tenants": "read and written by itself",
        "meta": "a Numbering; it says that all of the tenant is here",
        "users.searched": "made of other columns",
        "imports.node": "of imports that arrive or run: none does",
        "imports.claim": "of imports that run: none does",
        "runs.node": "of runs that arrive or run: none does",
        "runs.claim": "of runs that run: none does",
        "moves": "for pages that are open; a Counter keeps the number",
        "figures": "found out again",
        "nodes": "no server runs",
        "open_sessions": "no server runs",
        "drafts": "an unfinished upload is not moved",
        "keys": "a key ring, in a file with SQLite",
        "host_keys": "files with SQLite",
        "secrets": "files with SQLite",
        "proof": "a value that the secret opens",
        "marks": "files with SQLite",
        "contents": "the bytes of files",
        "chunks": "the bytes of files",
        "commits": "of transactions that have just ended: no server runs",
        "ended_objects": "objects that are deleted: none of the files that are moved",
        "kept_files": "files with SQLite",
        "names": "files with SQLite",
        "usage": "counted by triggers; the time of the folder is that of a file",
        "schema_versions": "each engine has its own",
    },
}
"""Tables, and columns of moved tables, that are not moved as rows: what takes their place. By engine."""


def canonical(text: str) -> str:
    """Return JSON in the one form in which equal values have equal texts."""
    return json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def plain(value: Any) -> Any:
    """Return a value as PostgreSQL stores it: NUL, which it refuses, is U+FFFD."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) and "\0" in value else value


def plain_json(text: str | None) -> str | None:
    """Return JSON as PostgreSQL stores it where it looks into it: NUL is U+FFFD."""
    return canonical(json.dumps(_without_nul(json.loads(text)))) if text and "\\u0000" in text else text


def value_as_json(value: Any) -> str | None:
    """Return a value of SQLite as JSON; None for NULL."""
    return None if value is None else canonical(json.dumps(value))


def without_messages(outcome: str | None) -> str | None:
    """Return the outcome of an import without its messages."""
    if outcome is None:
        return None
    return canonical(json.dumps({key: value for key, value in json.loads(outcome).items() if key != "messages"}))


def messages_of(outcome: str | None) -> str | None:
    """Return the messages in the outcome of an import."""
    return None if outcome is None else canonical(json.dumps(json.loads(outcome).get("messages", [])))


def with_messages(outcome: str | None, messages: str | None) -> str | None:
    """Return an outcome with its messages, as SQLite stores it."""
    if outcome is None:
        return None
    return json.dumps({**json.loads(outcome), "messages": json.loads(messages or "[]")}, ensure_ascii=False)


def converting(table: Table, by: Callable[[Kind], Callable[[Any], Any] | None]) -> Callable[[Iterable[Any]], Row]:
    """Return a function that makes the row of the values of a table: each goes through what `by` has for its kind."""
    steps = [(place, step) for place, column in enumerate(table.columns) if (step := by(column.kind))]

    def convert(values: Iterable[Any]) -> Row:
        row = list(values)
        for place, step in steps:
            row[place] = step(row[place])
        return tuple(row)

    return convert


def stored(table: Table) -> Callable[[Iterable[Any]], Row]:
    """Return a function that makes of a row of a table the one that PostgreSQL stores."""
    return converting(table, _STORED.get)


_STORED: dict[Kind, Callable[[Any], Any]] = {
    Kind.PLAIN: plain,
    Kind.FREE_JSON: plain_json,
    Kind.VALUE: plain_json,
}
"""All other JSON keeps its text, with \\u0000 in it."""


def check_row(table: Table, row: Sequence[Any]) -> None:
    """Raise ValueError if a row does not have the columns of the table."""
    if len(row) != len(table.columns):
        raise ValueError(f"a row of {table.name} has {len(row)} values, not {len(table.columns)}")


def _without_nul(value: Any) -> Any:
    if isinstance(value, dict):
        return {plain(key): _without_nul(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_nul(each) for each in value]
    return plain(value)
