"""Try settings on a file before they are offered: on a copy of the users, within a time, touching nothing else.

The copy is one moment of users.db, taken without keeping its imports waiting. Every try is a dry run on it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from importer.advice.judging import Result, finds_the_same_users, is_better_without, is_no_worse, result_of
from importer.advice.model import Part, changes_of
from importer.errors import Refused, Stopped, TryAgain
from importer.model import Counts, ImportState, Written
from importer.reconcile.job import Job
from importer.reconcile.run import run_import
from importer.requests import Trial
from importer.rules.settings import ImportSettings

NO_IMPORT = 0
"""The id of a try: imports are counted from 1, and this is none."""

COPIED_PAGES = 2000
"""So much of users.db is copied before the time is looked at again."""


class OutOfTime(Exception):  # noqa: N818 - what is the case
    """The tries took as long as they may."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where settings are tried: the `file`, a copy of the `users`, and a `folder` for what the tries say.

    A try ends when `is_late` says so; `now` is the time of the import. `switched`: the
    settings tell users apart by another field than the copy does. `written` and `proven_whole`: how the file came.
    """

    tenant: str
    file: Path
    users: Path
    folder: Path
    now: datetime
    is_late: Callable[[], bool]
    switched: bool = False
    written: Written | None = None
    proven_whole: bool = False

    async def result(self, settings: ImportSettings, changes: Mapping[str, object]) -> Result:
        """What the file comes to with `changes` put into `settings`, if it is sent next and for real.

        Raises OutOfTime, TryAgain, OSError.
        """
        tried = {"identifier": settings.identifier, **changes} if self.switched else changes
        job = Job(
            tenant=self.tenant,
            import_id=NO_IMPORT,
            file=self.file,
            name=self.file.name,
            dry_run=True,
            written=self.written,
            approval=None,
            now=self.now,
            proven_whole=self.proven_whole,
            only_news=True,
            trial=Trial("advice", tried),
        )
        if self.is_late():
            raise OutOfTime
        try:
            after = settings.with_changes(changes)
            outcome = await run_import(job, self.users, after, self.folder, stopping=self.is_late)
        except Stopped:
            raise OutOfTime from None
        return result_of(outcome)


@dataclass(frozen=True, slots=True)
class Tried:
    """The parts that are worth offering, what the file comes to with them, and the parts that made it worse.

    `result` is None where nothing is worth offering; `leavers_active`: for users who have left by the file.
    """

    parts: tuple[Part, ...]
    dropped: tuple[Part, ...]
    result: Result | None
    leavers_active: bool = False


async def best_of(bench: Bench, parts: Sequence[Part], settings: ImportSettings, before: Result) -> Tried:
    """Try the parts together, and leave out those that make the outcome worse: guesses first.

    Raises OutOfTime, TryAgain, OSError.
    """
    kept = _fitting_together(parts, settings)
    result = await _result(bench, kept, settings)
    for part in sorted(kept, key=lambda part: (part.certain and not part.open, not part.open)):
        fits = is_no_worse(result, before)
        if fits and (result.counts.rejected == 0 or (part.certain and not part.open)):
            break
        less = [each for each in kept if each is not part]
        try:
            tried = await _result(bench, less, settings) if less else before
        except OutOfTime:
            if fits:
                break
            raise
        if is_better_without(tried, result, before):
            kept, result = less, tried
    if any("identifier" in part.settings for part in kept):
        less = [part for part in kept if "identifier" not in part.settings]
        tried = await _result(bench, less, settings)
        if not finds_the_same_users(result, tried):
            kept, result = less, tried
    dropped = tuple(part for part in parts if part not in kept)
    if not kept or not is_no_worse(result, before):
        return Tried((), tuple(parts), None, leavers_active=result.unread > before.unread)
    return Tried(tuple(kept), dropped, result)


async def _result(bench: Bench, parts: Sequence[Part], settings: ImportSettings) -> Result:
    try:
        return await bench.result(settings, changes_of(parts, settings))
    except Refused:  # users cannot be told apart so
        return Result(ImportState.FAILED, Counts())


def _fitting_together(parts: Sequence[Part], settings: ImportSettings) -> list[Part]:
    """The parts without those that settings cannot have beside the others."""
    kept: list[Part] = []
    for part in parts:
        try:
            settings.with_changes(changes_of([*kept, part], settings))
        except ValueError:
            continue
        kept.append(part)
    return kept


def copy_users(database: Path, copy: Path, is_late: Callable[[], bool]) -> None:
    """Copy the users of this moment, also while an import writes. Raises OutOfTime, TryAgain."""

    def look(_: int, __: int, ___: int) -> None:
        if is_late():
            raise OutOfTime

    with _told(), closing(_read_only(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.execute("BEGIN")
        source.execute("SELECT 1 FROM settings").fetchone()  # from here on, it is one moment that is read
        target.execute("PRAGMA synchronous=OFF")
        source.backup(target, pages=COPIED_PAGES, progress=look, sleep=0)


@dataclass(frozen=True, slots=True)
class Users:
    """Whether there `are` any; and the custom fields that may be the identifier: by each all of them are found."""

    are: bool
    numbered: frozenset[str] = frozenset()


def look_at_users(database: Path, settings: ImportSettings) -> Users:
    """What users there are; blocks. Raises TryAgain."""
    with _told(), closing(_read_only(database)) as db:
        if db.execute("SELECT 1 FROM users LIMIT 1").fetchone() is None:
            return Users(are=False)
        texts = [each.key for each in settings.custom_fields if each.type == "text"]
        return Users(are=True, numbered=frozenset(key for key in texts if _numbers_all(db, key)))


def _numbers_all(db: sqlite3.Connection, key: str) -> bool:
    """Whether every user, deactivated ones too, has another value of this field, and none ever had two."""
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
def _told() -> Iterator[None]:
    """Whatever a database says, it cannot be read now."""
    try:
        yield
    except sqlite3.Error as error:
        raise TryAgain("database_busy", "the users cannot be copied") from error
