"""Parts that fit are suggested even if not each could be tested alone; a long file is tested on its first rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from importer.advice.judging import Result
from importer.advice.model import Part
from importer.advice.testing import OutOfTests, best_of
from importer.model import Counts, ImportState
from importer.rules.settings import ImportSettings

FAILED = Result(ImportState.FAILED, Counts())
NUMBER = Part(
    "N", headers={"N": "number"}, settings={"identifier": "number"}, fields=({"key": "number", "type": "text"},)
)
PARTS = [Part("A", headers={"A": "job_title"}), Part("B", headers={"B": "role"})]


@dataclass
class Bench:
    """A bench without dry runs: results of a file and of its first rows, by the mapped headers."""

    results: Mapping[str, Result]
    of_sample: Mapping[str, Result]
    left: int
    sample: int | None = None

    async def result(self, settings: ImportSettings, changes: Mapping[str, Any]) -> Result:
        mapped = "".join(changes.get("field_mapping", {}))
        if self.sample:
            return self.of_sample[mapped]
        if mapped not in self.results or not self.left:
            raise OutOfTests
        self.left -= 1
        return self.results[mapped]


def done(**counts: int) -> Result:
    return Result(ImportState.COMPLETED, Counts(**counts))


async def test_a_guess_that_rejects_rows_is_left_out() -> None:
    bench = _bench({"AB": done(created=1, rejected=1), "A": done(created=2), "B": done(created=1, rejected=1)})
    tried = await best_of(bench, PARTS, ImportSettings(), FAILED)
    assert (tried.parts, tried.dropped, tried.result) == ((PARTS[0],), (PARTS[1],), done(created=2))


async def test_parts_that_fit_are_suggested_though_the_dry_runs_are_used_up() -> None:
    bench = _bench({"AB": done(created=1, rejected=1)})
    assert (await best_of(bench, PARTS, ImportSettings(), FAILED)).parts == tuple(PARTS)


async def test_parts_that_do_not_fit_are_not_suggested_when_the_dry_runs_are_used_up() -> None:
    with pytest.raises(OutOfTests):
        await best_of(_bench({"AB": done(rejected=2)}), PARTS, ImportSettings(), done(created=2))


async def test_nothing_is_suggested_if_no_part_helps() -> None:
    results = dict.fromkeys(("AB", "A", "B", ""), done(rejected=2))
    tried = await best_of(_bench(results), PARTS, ImportSettings(), done(created=2))
    assert (tried.parts, tried.result) == ((), None)


async def test_the_parts_for_a_long_file_are_chosen_on_its_first_rows() -> None:
    first_rows = {"AB": done(created=1, rejected=1), "A": done(created=2), "B": done(created=1, rejected=1)}
    tried = await best_of(_bench({"A": done(created=9)}, first_rows), PARTS, ImportSettings(), FAILED)
    assert (tried.parts, tried.dropped, tried.result) == ((PARTS[0],), (PARTS[1],), done(created=9))


async def test_the_first_rows_are_compared_with_and_without_the_parts() -> None:
    first_rows = {"AB": done(created=1, rejected=1), "A": done(created=1, rejected=1), "": done(created=2)}
    first_rows["B"] = first_rows[""]
    tried = await best_of(_bench({"B": done(created=9)}, first_rows), PARTS, ImportSettings(), done(rejected=9))
    assert (tried.parts, tried.result) == ((PARTS[1],), done(created=9))


async def test_parts_that_fit_only_the_first_rows_of_a_long_file_are_not_suggested() -> None:
    first_rows = dict.fromkeys(("AB", "A", "B", ""), done(created=2))
    with pytest.raises(OutOfTests):
        await best_of(_bench({"AB": done(rejected=9)}, first_rows), PARTS, ImportSettings(), done(created=9))


async def test_a_long_file_is_not_tested_as_a_whole_if_no_part_helps_its_first_rows() -> None:
    first_rows = dict.fromkeys(("AB", "A", "B"), done(rejected=2)) | {"": done(created=2)}
    tried = await best_of(_bench({}, first_rows), PARTS, ImportSettings(), done(created=9))
    assert (tried.parts, tried.dropped, tried.result) == ((), tuple(PARTS), None)


async def test_an_identifier_that_creates_the_users_of_the_first_rows_again_is_left_out() -> None:
    first_rows = {"AN": done(created=2), "A": done(updated=2), "": done(updated=2)}
    tried = await best_of(_bench({"A": done(updated=9)}, first_rows), [PARTS[0], NUMBER], ImportSettings(), done())
    assert (tried.parts, tried.result) == ((PARTS[0],), done(updated=9))


async def test_the_last_dry_run_shows_whether_an_identifier_finds_the_same_users() -> None:
    first_rows = dict.fromkeys(("AN", "A", ""), done(updated=2))
    whole = {"AN": done(created=1, updated=8, rejected=1), "A": done(updated=9, rejected=1)}
    whole["N"] = whole["AN"]
    bench = _bench(whole, first_rows, left=2)
    tried = await best_of(bench, [PARTS[0], NUMBER], ImportSettings(), done(updated=8, rejected=1))
    assert (tried.parts, tried.result, bench.left) == ((PARTS[0],), whole["A"], 0)


def _bench(results: Mapping[str, Result], of_sample: Mapping[str, Result] | None = None, left: int = 1) -> Any:
    """Return a bench for a file; with `of_sample`, for one with only `left` dry runs on the whole file."""
    return Bench(results, of_sample or {}, left=left if of_sample else 9)
