"""A long file gets its full advice at the cost of about one import of it, on a busy machine too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ground.moments import utc_now
from importer.advice import testing
from importer.advice.advise import Question, advise
from importer.model import ImportState, Outcome
from importer.reconcile.job import Job
from importer.reconcile.run import run_import
from importer.rules.settings import ImportSettings
from tests.support.importing import people
from tests.support.installation import company_in

ROWS = testing.SAMPLE_ROWS * 3
NAMES = [f"p{number}" for number in range(ROWS)]


def job_of(file: Path, **how: Any) -> Job:
    return Job("acme", 0, file, file.name, dry_run=True, written=None, approval=None, now=utc_now(), **how)


async def test_a_long_file_is_tested_once_with_the_parts_that_fit_its_first_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, users = tmp_path / "upload.csv", company_in(tmp_path).kept
    header, _, rows = people(*NAMES, Office="Berlin", Role="learner", started="2024-01-31").partition(b"\n")
    rows = rows.replace(b"learner", b"worker", 1)  # a guess would reject this row
    file.write_bytes(
        b"First Name,Last Name,Work Email" + header.removeprefix(b"first_name,last_name,email") + b"\n" + rows
    )
    settings, now = ImportSettings(), utc_now()
    outcome = await run_import(job_of(file), users, settings, tmp_path / "said")
    tries: list[tuple[int | None, Outcome]] = []

    async def counted(job: Job, *args: Any, **how: Any) -> Outcome:
        tries.append((job.sample, await run_import(job, *args, **how)))
        return tries[-1][1]

    monkeypatch.setattr(testing, "FURTHER_BYTES", 0)
    monkeypatch.setattr(testing, "run_import", counted)
    advice = await advise(Question("acme", file, users, settings, outcome, now), tmp_path / "tries")

    assert outcome.state is ImportState.FAILED
    assert advice
    assert advice.counts
    assert advice.counts["created"] == ROWS
    assert [result.counts.rows for sample, result in tries if sample is None] == [ROWS]
    assert all(result.counts.rows < ROWS for sample, result in tries if sample is not None)


async def test_a_sample_ends_after_its_rows_and_changes_nothing(tmp_path: Path) -> None:
    file, users = tmp_path / "upload.csv", company_in(tmp_path).kept
    file.write_bytes(people(*NAMES[:10]))
    outcome = await run_import(job_of(file, sample=3), users, ImportSettings(), tmp_path / "said", batch_rows=2)
    assert (outcome.state, outcome.counts.created, outcome.counts.rejected) == (ImportState.COMPLETED, 4, 0)
    whole = await run_import(job_of(file), users, ImportSettings(), tmp_path / "said", batch_rows=2)
    assert whole.counts.created == 10
