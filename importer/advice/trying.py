"""Try settings on a file before they are offered: on a copy of the users, so many times, touching nothing else.

The copy is one moment of the users, taken without keeping its imports waiting. Every try is a dry run on it. What is
tried of a long file is counted, not timed, or a busy machine would get less advice: the parts are chosen on its first
rows, and what was chosen is tried on all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from importer.advice.judging import Result, finds_the_same_users, is_better_without, is_no_worse, result_of
from importer.advice.model import Part, changes_of
from importer.errors import Refused
from importer.model import Counts, ImportState, Written
from importer.reconcile.job import Job
from importer.reconcile.run import BATCH_ROWS, run_import
from importer.requests import Trial
from importer.rules.settings import ImportSettings
from importer.users.users import Users

NO_IMPORT = 0
"""The id of a try: imports are counted from 1, and this is none."""

SAMPLE_ROWS = BATCH_ROWS
"""So many rows of a long file tell which parts are worth trying on all of it."""

WHOLE_TRIES = 2
"""How often the longest file is tried as a whole: with what was chosen, and without a part that did not fit then."""

FURTHER_BYTES = 64 * 1024 * 1024
"""A shorter one is tried as often again as it has room in these, with its users."""


class OutOfTries(Exception):  # noqa: N818 - what is the case
    """The whole file was tried as often as it may be."""


@dataclass(slots=True)
class Bench:
    """Where settings are tried: the `file`, a copy of the `users`, and a `folder` for what the tries say.

    A try is given up where `stopping` says so, which may wait for what is more urgent; `now` is the time of the
    import. `switched`: the settings tell users apart by another field than the copy does. `written` and
    `proven_whole`: how the file came. `sample`: only so many rows of the file count, and no user is absent for that;
    else the whole file can be tried `left` times.
    """

    tenant: str
    file: Path
    users: Users
    folder: Path
    now: datetime
    stopping: Callable[[], bool]
    switched: bool = False
    written: Written | None = None
    proven_whole: bool = False
    sample: int | None = None
    left: int = field(init=False)

    def __post_init__(self) -> None:
        size = self.file.stat().st_size + self.users.copy_bytes()
        self.left = WHOLE_TRIES + FURTHER_BYTES // size

    async def result(self, settings: ImportSettings, changes: Mapping[str, object]) -> Result:
        """What the file comes to with `changes` put into `settings`, if it is sent next and for real.

        Raises OutOfTries, Stopped, Refused, TryAgain, OSError.
        """
        if self.sample is None:
            if not self.left:
                raise OutOfTries
            self.left -= 1
        else:
            changes = {**changes, "deactivate_missing": False}
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
            sample=self.sample,
        )
        after = settings.with_changes(changes)
        outcome = await run_import(job, self.users, after, self.folder, stopping=self.stopping)
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

    Where there are more of them than the whole file can be tried, that is done on a sample, and what is left of them
    is tried on the whole file. Raises OutOfTries, Stopped, TryAgain, OSError.
    """
    fitting = _fitting_together(parts, settings)
    tried = Tried(tuple(fitting), (), None)
    if bench.left < 1 + len(fitting) + (_identifying(fitting) != []):
        sample = replace(bench, sample=SAMPLE_ROWS)
        same = before if before.failed else await sample.result(settings, {})
        tried = await _best_of(sample, fitting, settings, same)
    if tried.parts:
        tried = await _best_of(bench, tried.parts, settings, before)
    dropped = tuple(part for part in parts if part not in tried.parts)
    return replace(tried, dropped=dropped)


async def _best_of(bench: Bench, parts: Sequence[Part], settings: ImportSettings, before: Result) -> Tried:
    kept = list(parts)
    result = await _result(bench, kept, settings)
    for part in sorted(kept, key=lambda part: (part.certain and not part.open, not part.open)):
        fits = is_no_worse(result, before)
        if fits and (result.counts.rejected == 0 or (part.certain and not part.open)):
            break
        if _identifying(kept) and bench.sample is None and bench.left == 1:
            break  # the last try tells whether another identifier finds the same users
        less = [each for each in kept if each is not part]
        try:
            tried = await _result(bench, less, settings) if less else before
        except OutOfTries:
            if fits:
                break
            raise
        if is_better_without(tried, result, before):
            kept, result = less, tried
    if by := _identifying(kept):
        less = [part for part in kept if part not in by]
        tried = await _result(bench, less, settings)
        if is_better_without(tried, result, before) or not finds_the_same_users(result, tried):
            kept, result = less, tried
    dropped = tuple(part for part in parts if part not in kept)
    if not kept or not is_no_worse(result, before):
        return Tried((), tuple(parts), None, leavers_active=result.unread > before.unread)
    return Tried(tuple(kept), dropped, result)


def _identifying(parts: Sequence[Part]) -> list[Part]:
    """Those that tell users apart by another field."""
    return [part for part in parts if "identifier" in part.settings]


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
