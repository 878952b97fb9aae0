"""Facts about the users of one tenant for code in a thread: each is read over a connection of its own."""

from __future__ import annotations

from collections.abc import Iterable

from engine.postgres.connecting import WAIT_S, blocking
from engine.postgres.migrations import newest
from engine.postgres.rows import Row
from engine.postgres.tenant.reading import FIND
from importer.errors import DatabaseUnusable, TryAgain
from importer.users.settled import Texts
from importer.users.users import Look, Stock

OF = "tenants AS t JOIN meta ON meta.tenant_id = t.id"
SETTINGS = "(SELECT json_object_agg(key, value) FROM settings WHERE tenant_id = t.id)"
STOCK = f"""
    SELECT (SELECT count(*) FROM users WHERE tenant_id = t.id) AS total,
        (SELECT count(*) FROM users WHERE tenant_id + 0 = t.id AND state = 'deactivated') AS deactivated,
        EXISTS (SELECT 1 FROM invitations WHERE tenant_id + 0 = t.id AND state = 'waiting') AS inviting,
        {SETTINGS} AS settings
    FROM {OF} WHERE t.name = %s"""  # noqa: S608 - constants
SIZE = f"SELECT (SELECT count(*) FROM users WHERE tenant_id = t.id) FROM {OF} WHERE t.name = %s"  # noqa: S608 - constants
WRITTEN = f"SELECT t.id, meta.written::text FROM {OF} WHERE t.name = %s"  # noqa: S608 - constants
NUMBERED = """
    SELECT count(*) = count(DISTINCT custom::json ->> %(field)s) AND NOT EXISTS (SELECT 1 FROM changes
        WHERE tenant_id = %(tenant)s AND field = 'custom.' || %(field)s AND old IS NOT NULL AND new IS NOT NULL)
    FROM users WHERE tenant_id = %(tenant)s AND known"""
TABLES = (
    "settings", "settings_changes", "teams", "locations", "users", "applied", "changes", "invitations", "before",
    "before_lines", "touched",
)  # fmt: skip
"""The tables with rows of a tenant's users, beside `meta`."""
OTHER_TABLES = (
    "keys", "secrets", "tokens", "names", "kept_files", "contents", "usage", "drafts", "imports", "runs", "checksums",
)  # fmt: skip
"""The other tables of a tenant without which it does not work.

`chunks` is not one of them: to read all bytes of all files may take hours.
"""

USER_BYTES, LEAST_BYTES = 400, 8192
"""About what a user takes, and the least that is said of a copy."""


def take_stock(url: str, tenant: str, timeout_s: float) -> Stock:
    found = _only(url, tenant, STOCK, timeout_s)
    deactivated = found["deactivated"]
    return Stock(found["total"] - deactivated, deactivated, found["inviting"], 0, found["settings"] or {})


def read_settings(url: str, tenant: str, timeout_s: float) -> Texts:
    settings: Texts = _only(url, tenant, f"SELECT {SETTINGS} FROM {OF} WHERE t.name = %s", timeout_s)[0] or {}  # noqa: S608 - constants
    return settings


def about_bytes(url: str, tenant: str) -> int:
    """Return about how many bytes a copy of the users takes."""
    return LEAST_BYTES + int(_only(url, tenant, SIZE)[0]) * USER_BYTES


def look_at_users(url: str, tenant: str, fields: Iterable[str]) -> Look:
    """Return whether there are users, and which of these custom fields number them."""
    try:
        with blocking(url) as read:
            for (number,) in read(FIND, tenant):
                if not read("SELECT 1 FROM users WHERE tenant_id = %s LIMIT 1", number):
                    return Look(are=False)
                numbered = (key for key in fields if read(NUMBERED, tenant=number, field=key)[0][0])
                return Look(are=True, numbered=frozenset(numbered))
    except DatabaseUnusable as error:
        raise TryAgain("database_busy", "the users cannot be read") from error
    raise no_users(tenant)


def written(url: str, tenant: str) -> tuple[int, str] | None:
    """Return the tenant's id and the newest transaction that wrote the users; None if there are none."""
    with blocking(url) as read:
        return next(((number, mark) for number, mark in read(WRITTEN, tenant)), None)


def is_plain(url: str, tenant: str) -> bool:
    """Return whether there are users in tables of this Headcount's schema."""
    with blocking(url) as read:
        versions = {row["kind"]: row["version"] for row in read("SELECT kind, version FROM schema_versions")}
        return versions == newest() and read(FIND, tenant) != []


def why_shut(url: str, tenant: str) -> str | None:
    """Return why there are no users; None if there are."""
    with blocking(url) as read:
        return None if read(FIND, tenant) else f"{no_users(tenant)}; restore it from a backup"


def read_all(url: str, tenant: str) -> None:
    """Read each row of the tenant. Raises DatabaseUnusable if one cannot be read."""
    with blocking(url) as read:
        for (number,) in read(FIND, tenant):
            for table in (*TABLES, *OTHER_TABLES):
                read(f"SELECT sum(length({table}::text)) FROM {table} WHERE tenant_id = %s", number)  # noqa: S608 - constants
            return
    raise no_users(tenant)


def _only(url: str, tenant: str, statement: str, timeout_s: float = WAIT_S) -> Row:
    with blocking(url, timeout_s) as read:
        for row in read(statement, tenant):
            return row
    raise no_users(tenant)


def no_users(tenant: str) -> DatabaseUnusable:
    """Return the error that there are no users of this tenant."""
    return DatabaseUnusable(f"the database has no users of {tenant}")
