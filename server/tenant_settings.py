"""The settings of one tenant: what may be set, how they are kept, and that they change as a whole or not at all.

They live in the tenant's users.db, so that they move with its folder: a row for each that differs from its default.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import aiosqlite
from pydantic import BeforeValidator, ByteSize, Field, PlainSerializer, ValidationError

from importer.database import transaction
from importer.settings import ImportSettings
from keys.errors import KeyRefused
from keys.ring import Network, parse_network
from server.settings import nearest

SELECT = "SELECT key, value FROM settings"
READ_TIMEOUT_S = 2.0
MOST = 2**63 - 1
"""The longest file a system can have, and more than a client can be told of."""


class TenantRefused(Exception):  # noqa: N818 - the field's word
    """Something about a tenant that can't be done. `code` is stable, `message` a sentence that says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def _networks(value: object) -> object:
    """A list of networks, or text with commas between them."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        return value
    try:
        return tuple(parse_network(part) if isinstance(part, str) else part for part in parts if part != "")
    except KeyRefused as error:
        raise ValueError(error.message) from None


Networks = Annotated[
    tuple[Network, ...],
    BeforeValidator(_networks),
    PlainSerializer(lambda networks: [str(network) for network in networks]),
]


class TenantSettings(ImportSettings):
    """What one tenant may choose: about its imports, and the fences around its folder. Frozen."""

    quota_bytes: Annotated[ByteSize, Field(ge=0, le=MOST)] = ByteSize(10 * 1024**3)
    quota_files: Annotated[int, Field(ge=0, le=MOST)] = 10_000
    max_file_bytes: Annotated[ByteSize, Field(ge=0, le=MOST)] = ByteSize(2 * 1024**3)
    max_sessions: Annotated[int, Field(ge=1)] = 10
    allowed_networks: Networks = ()  # from anywhere

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


def changed(now: TenantSettings, changes: Mapping[str, object]) -> TenantSettings:
    """`now` with `changes` put in; None puts a default back. Raises TenantRefused naming the setting."""
    values: dict[str, object] = dict(now)
    for name, value in changes.items():
        if name not in TenantSettings.model_fields:
            raise TenantRefused(
                "unknown_setting",
                f"there is no tenant setting {name}{nearest(name, TenantSettings.model_fields)}",
            )
        if value is None:
            values.pop(name, None)
        else:
            values[name] = value
    return _validated(values)


def _validated(values: Mapping[str, object]) -> TenantSettings:
    try:
        return TenantSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"][:1])
        reason = first["msg"].removeprefix("Value error, ").replace("Input should", "must")
        raise TenantRefused("bad_setting", f"{name}: {reason}, not {str(first['input'])!r}") from None


def from_rows(rows: Iterable[tuple[str, str]]) -> TenantSettings:
    """The settings as they are kept. Raises TenantRefused if one of them makes no sense."""
    return _validated({key: json.loads(value) for key, value in rows})


async def load_settings(db: aiosqlite.Connection) -> TenantSettings:
    """The settings in the open users.db `db`."""
    return from_rows((row[0], row[1]) for row in await db.execute_fetchall(SELECT))


def read_settings(database: Path) -> TenantSettings:
    """The settings in the users.db at `database`, read at once and without waiting for an import that runs."""
    db = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=READ_TIMEOUT_S)
    try:
        return from_rows(db.execute(SELECT))
    finally:
        db.close()


async def change_settings(db: aiosqlite.Connection, changes: Mapping[str, object]) -> TenantSettings:
    """Change settings in the open users.db `db`: all of `changes`, or none and TenantRefused.

    When one that the importer obeys is different afterwards, every row of the next file is looked at again.
    """
    async with transaction(db):
        before = await load_settings(db)
        after = changed(before, changes)
        defaults = TenantSettings()
        kept = {
            name: value for name, value in after.to_json().items() if getattr(after, name) != getattr(defaults, name)
        }
        await db.execute("DELETE FROM settings")
        await db.executemany(
            "INSERT INTO settings (key, value) VALUES (?, ?)",
            [(name, json.dumps(value)) for name, value in kept.items()],
        )
        if any(getattr(before, name) != getattr(after, name) for name in ImportSettings.model_fields):
            await db.execute("UPDATE meta SET revision = revision + 1")
    return after
