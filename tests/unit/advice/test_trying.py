"""What was tried in time is offered, though not every part of it could be tried alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from importer.advice.judging import Result
from importer.advice.model import Part
from importer.advice.trying import OutOfTime, best_of
from importer.model import Counts, ImportState
from importer.rules.settings import ImportSettings

FAILED = Result(ImportState.FAILED, Counts())
PARTS = [Part("A", headers={"A": "job_title"}), Part("B", headers={"B": "role"})]


class Bench:
    """Plays tries: what a file comes to, by the headers that are mapped."""

    def __init__(self, results: Mapping[str, Result]) -> None:
        self.results = results

    async def result(self, settings: ImportSettings, changes: Mapping[str, Any]) -> Result:
        mapped = "".join(changes.get("field_mapping", {}))
        if mapped not in self.results:
            raise OutOfTime
        return self.results[mapped]


def done(**counts: int) -> Result:
    return Result(ImportState.COMPLETED, Counts(**counts))


async def test_a_guess_that_rejects_rows_is_left_out() -> None:
    bench = _bench({"AB": done(created=1, rejected=1), "A": done(created=2), "B": done(created=1, rejected=1)})
    tried = await best_of(bench, PARTS, ImportSettings(), FAILED)
    assert (tried.parts, tried.dropped, tried.result) == ((PARTS[0],), (PARTS[1],), done(created=2))


async def test_what_fits_is_offered_where_the_time_is_over_before_all_was_tried() -> None:
    bench = _bench({"AB": done(created=1, rejected=1)})
    assert (await best_of(bench, PARTS, ImportSettings(), FAILED)).parts == tuple(PARTS)


async def test_what_does_not_fit_is_not_offered_where_the_time_is_over() -> None:
    with pytest.raises(OutOfTime):
        await best_of(_bench({"AB": done(rejected=2)}), PARTS, ImportSettings(), done(created=2))


async def test_nothing_is_offered_where_no_part_helps() -> None:
    results = dict.fromkeys(("AB", "A", "B", ""), done(rejected=2))
    tried = await best_of(_bench(results), PARTS, ImportSettings(), done(created=2))
    assert (tried.parts, tried.result) == ((), None)


def _bench(results: Mapping[str, Result]) -> Any:
    return Bench(results)
