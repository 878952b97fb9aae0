"""PostgreSQL that refuses to write: it takes reads only, or is a standby."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from engine.postgres.database import alone
from engine.postgres.migrations import migrate
from engine.postgres.pulse import Pulse
from importer.errors import DatabaseAway
from tests.support.own_postgres import OwnPostgres

READ_ONLY = "ALTER SYSTEM SET default_transaction_read_only = on"
WRITABLE = "ALTER SYSTEM RESET default_transaction_read_only"
RELOAD = "SELECT pg_reload_conf()"
STANDBY = "standby.signal"
"""The file with which PostgreSQL starts as a standby."""


async def make_tables(url: str) -> None:
    async with alone(url) as database:
        await migrate(database)


def writing(postgres: OwnPostgres) -> psycopg.Connection[Any]:
    """Return a connection that may write although the database refuses that by default."""
    url = f"{postgres.url}&options=-cdefault_transaction_read_only%3Doff"
    return psycopg.connect(url, autocommit=True)


def configure(postgres: OwnPostgres, *statements: str) -> None:
    with writing(postgres) as admin:
        for statement in statements:
            admin.execute(statement.encode())


def restart_read_only(postgres: OwnPostgres) -> None:
    configure(postgres, READ_ONLY)
    postgres.stop()
    postgres.start()


def restart_as_standby(postgres: OwnPostgres) -> None:
    postgres.stop()
    (postgres.data / STANDBY).touch()
    postgres.start()


DEMOTIONS: dict[str, Callable[[OwnPostgres], None]] = {
    "reload": lambda postgres: configure(postgres, READ_ONLY, RELOAD),
    "restart": restart_read_only,
    "standby": restart_as_standby,
}


@contextmanager
def demoted(postgres: OwnPostgres, how: str = "reload") -> Iterator[None]:
    """Let the database refuse to write in the block."""
    try:
        DEMOTIONS[how](postgres)
        yield
    finally:
        if (postgres.data / STANDBY).exists():
            postgres.stop()
            (postgres.data / STANDBY).unlink()
            postgres.start()
        configure(postgres, WRITABLE, RELOAD)


def refuses(pulse: Pulse | None) -> bool:
    """Return whether the newest answer was a refusal to write."""
    assert pulse
    try:
        pulse.check_writes()
    except DatabaseAway:
        return True
    return False
