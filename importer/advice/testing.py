"""Test settings on a file before they are suggested: a limited number of dry runs on a copy of the users.

The copy is a snapshot of the users; taking it does not block imports. The limit is a number of dry runs, not a time:
a busy machine gives the same advice. For a long file, the parts are chosen by dry runs on its first rows, and only
the chosen ones are tested on the whole file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from importer.advice.judging import Result, finds_the_same_users, is_as_good, is_better_without, result_of
from importer.advice.model import Part, changes_of
from importer.errors import Refused
from importer.model import Counts, ImportState, Written
from importer.reconcile.job import Job
from importer.reconcile.run import BATCH_ROWS, run_import
from importer.requests import DryRunRequest
from importer.rules.settings import ImportSettings
from importer.users.users import Users

NO_IMPORT = 0
"""The import id of these dry runs. Real ids start at 1."""

SAMPLE_ROWS = BATCH_ROWS
"""The rows of a long file on which parts are tested first."""

WHOLE_TESTS = 2
"""The dry runs on the whole file, however long: with the chosen parts, and without one that did not fit."""

FURTHER_BYTES = 64 * 1024 * 1024
"""A shorter file gets further dry runs: as many as the file and its users fit into this size."""


class OutOfTests(Exception):  # noqa: N818 - not an error
    """The limit of dry runs on the whole file is reached."""


@dataclass(slots=True)
class Bench:
    """A place for dry runs: the `file`, a copy of the `users`, and a `folder` for the messages.

    A dry run ends when `stopping` returns true; `stopping` may wait for more urgent work. `now` is the time of the
    import. `switched`: the identifier of the settings differs from that of the copy. `written` and `proven_complete`
    describe the upload. `sample`: only that many rows are read, and no user counts as absent; without it, `left` is
    the number of dry runs that remain.
    """

    tenant: str
    file: Path
    users: Users
    folder: Path
    now: datetime
    stopping: Callable[[], bool]
    switched: bool = False
    written: Written | None = None
    proven_complete: bool = False
    sample: int | None = None
    left: int = field(init=False)

    def __post_init__(self) -> None:
        size = self.file.stat().st_size + self.users.copy_bytes()
        self.left = WHOLE_TESTS + FURTHER_BYTES // size

    async def result(self, settings: ImportSettings, changes: Mapping[str, object]) -> Result:
        """Return the result of the file with `changes` to `settings`, as if it were imported next.

        Raises OutOfTests, Stopped, Refused, TryAgain, OSError.
        """
        if self.sample is None:
            if not self.left:
                raise OutOfTests
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
            proven_complete=self.proven_complete,
            only_news=True,
            trial=DryRunRequest("advice", tried),
            sample=self.sample,
        )
        after = settings.with_changes(changes)
        outcome = await run_import(job, self.users, after, self.folder, stopping=self.stopping)
        return result_of(outcome)


@dataclass(frozen=True, slots=True)
class Tested:
    """The parts to suggest, the result of the file with them, and the parts that made it worse.

    `result` is None if there is nothing to suggest; `leavers_active`: because leavers would be active.
    """

    parts: tuple[Part, ...]
    dropped: tuple[Part, ...]
    result: Result | None
    leavers_active: bool = False


async def best_of(bench: Bench, parts: Sequence[Part], settings: ImportSettings, before: Result) -> Tested:
    """Test the parts together, and leave out those that make the result worse, guesses first.

    If there are more parts than dry runs left for the whole file, parts are first chosen on a sample; the chosen ones
    are then tested on the whole file. Raises OutOfTests, Stopped, TryAgain, OSError.
    """
    fitting = _fitting_together(parts, settings)
    tried = Tested(tuple(fitting), (), None)
    if bench.left < 1 + len(fitting) + (_identifying(fitting) != []):
        sample = replace(bench, sample=SAMPLE_ROWS)
        same = before if before.failed else await sample.result(settings, {})
        tried = await _best_of(sample, fitting, settings, same)
    if tried.parts:
        tried = await _best_of(bench, tried.parts, settings, before)
    dropped = tuple(part for part in parts if part not in tried.parts)
    return replace(tried, dropped=dropped)


async def _best_of(bench: Bench, parts: Sequence[Part], settings: ImportSettings, before: Result) -> Tested:
    kept = list(parts)
    result = await _result(bench, kept, settings)
    for part in sorted(kept, key=lambda part: (part.certain and not part.open, not part.open)):
        fits = is_as_good(result, before)
        if fits and (result.counts.rejected == 0 or (part.certain and not part.open)):
            break
        if _identifying(kept) and bench.sample is None and bench.left == 1:
            break  # the last dry run is for whether another identifier finds the same users
        less = [each for each in kept if each is not part]
        try:
            tried = await _result(bench, less, settings) if less else before
        except OutOfTests:
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
    if not kept or not is_as_good(result, before):
        return Tested((), tuple(parts), None, leavers_active=result.unread > before.unread)
    return Tested(tuple(kept), dropped, result)


def _identifying(parts: Sequence[Part]) -> list[Part]:
    """Return the parts that change the identifier."""
    return [part for part in parts if "identifier" in part.settings]


async def _result(bench: Bench, parts: Sequence[Part], settings: ImportSettings) -> Result:
    try:
        return await bench.result(settings, changes_of(parts, settings))
    except Refused:  # two users share a value of this identifier
        return Result(ImportState.FAILED, Counts())


def _fitting_together(parts: Sequence[Part], settings: ImportSettings) -> list[Part]:
    """Return the parts without those that conflict with earlier ones."""
    kept: list[Part] = []
    for part in parts:
        try:
            settings.with_changes(changes_of([*kept, part], settings))
        except ValueError:
            continue
        kept.append(part)
    return kept
