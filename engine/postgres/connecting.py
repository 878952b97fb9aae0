"""New connections to PostgreSQL: in an event loop, and for threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from engine.postgres.faults import translating
from engine.postgres.rows import Row, by_position_and_name
from importer.errors import DatabaseUnusable

Connection = psycopg.AsyncConnection[Row]
Parameters = Sequence[object] | Mapping[str, object] | None

FORM = "postgresql://USER:PASSWORD@HOST:PORT/NAME, with %40 for an @ in a password"
"""How a URL looks."""
OLDEST = 15
"""The oldest version of PostgreSQL that Headcount works with."""
WAIT_S = 10.0
"""The longest wait for the answer of a server to a connection."""

_LINES: dict[str, Any] = {
    # Without these, a lost host is noticed after hours.
    "connect_timeout": int(WAIT_S),
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "client_encoding": "utf8",
    "application_name": "headcount",
}


async def connect(url: str, **lines: Any) -> Connection:
    """Return a new connection; `lines` have parameters of libpq that are not as for all others.

    Raises psycopg.Error; DatabaseUnusable if `url` is none or the server is too old.
    """
    try:
        psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # The reason that libpq gives may quote the password.
        raise DatabaseUnusable(f"the URL of the database is not valid; it has the form {FORM}") from None
    connection: Connection = await psycopg.AsyncConnection.connect(url, **{**_arguments(url), **lines})
    if (version := connection.info.server_version) < OLDEST * 10_000:
        await connection.close()
        raise DatabaseUnusable(f"the database is PostgreSQL {version // 10_000}; Headcount needs {OLDEST} or newer")
    return connection


@contextmanager
def blocking(url: str, timeout_s: float = WAIT_S) -> Iterator[Callable[..., list[Row]]]:
    """Open the database for reads outside an event loop: each call is one statement, as by `Database.read`.

    The connection has to come within `timeout_s`. Raises TryAgain, DatabaseUnusable.
    """
    with (
        translating(),
        psycopg.connect(url, **{**_arguments(url), "connect_timeout": max(2, round(timeout_s))}) as connection,
    ):
        found: psycopg.Connection[Row] = connection

        def read(statement: str, *values: object, **named: object) -> list[Row]:
            return found.execute(statement, parameters(values, named)).fetchall()

        yield read


def connect_blocking(url: str, name: str, timeout_s: float) -> psycopg.Connection[Row]:
    """Return a new connection for a thread, with this name in PostgreSQL's lists. Raises psycopg.Error."""
    return psycopg.connect(
        url, **{**_arguments(url), "connect_timeout": max(2, round(timeout_s)), "application_name": name}
    )


def parameters(values: tuple[object, ...], named: dict[str, object]) -> Parameters:
    """Return the values of a statement; None if it has none: then psycopg leaves percent signs as they are."""
    return named or values or None


def _arguments(url: str) -> dict[str, Any]:
    # If the URL names several hosts, one of them is the primary now.
    lines = {"target_session_attrs": "read-write", **_LINES}
    if "target_session_attrs" in psycopg.conninfo.conninfo_to_dict(url):
        del lines["target_session_attrs"]
    return {**lines, "autocommit": True, "prepare_threshold": None, "row_factory": by_position_and_name}
