"""Copies of a users.db to test settings on, and the facts about users that this needs. Neither blocks a writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from importer.errors import Stopped, TryAgain
from importer.users.users import Look

COPIED_PAGES = 2000
"""The number of pages of users.db that are copied before `stopping` is asked again."""


def copy_users(database: Path, copy: Path, stopping: Callable[[], bool]) -> None:
    """Copy the users of this moment, also while an import writes. Raises Stopped, TryAgain."""

    def look(_: int, __: int, ___: int) -> None:
        if stopping():
            raise Stopped("the server is stopping")

    with _translating(), closing(_read_only(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.execute("BEGIN")
        source.execute("SELECT 1 FROM settings").fetchone()  # from here on all reads are of one moment
        target.execute("PRAGMA synchronous=OFF")
        source.backup(target, pages=COPIED_PAGES, progress=look, sleep=0)


def look_at_users(database: Path, fields: Iterable[str]) -> Look:
    """Return whether there are users, and which of these custom fields number them; blocks. Raises TryAgain."""
    with _translating(), closing(_read_only(database)) as db:
        if db.execute("SELECT 1 FROM users LIMIT 1").fetchone() is None:
            return Look(are=False)
        return Look(are=True, numbered=frozenset(key for key in fields if _numbers_all(db, key)))


def _numbers_all(db: sqlite3.Connection, key: str) -> bool:
    """Return whether every user, deactivated ones too, has a different value of this field, which never changed."""
    (users, values), *_ = db.execute(
        "SELECT count(*), count(DISTINCT json_extract(custom, '$.' || ?)) FROM users WHERE known = 1", (key,)
    )
    if values < users:
        return False
    changed = "SELECT 1 FROM changes WHERE field = 'custom.' || ? AND old IS NOT NULL AND new IS NOT NULL LIMIT 1"
    return db.execute(changed, (key,)).fetchone() is None


def _read_only(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)


@contextmanager
def _translating() -> Iterator[None]:
    """Raise any database error as TryAgain: the users cannot be read now."""
    try:
        yield
    except sqlite3.Error as error:
        raise TryAgain("database_busy", "the users cannot be copied") from error
