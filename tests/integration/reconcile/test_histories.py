"""A file compared with the previous one has the same result as a file read alone, whatever happened in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from importer.rules.rows import CheckedRow, RowChecker
from tests.support.chosen import random_cases
from tests.support.histories import play


@pytest.mark.parametrize("seed", range(random_cases(28)))
async def test_a_file_compared_with_the_previous_one_gives_the_same_result(tmp_path: Path, seed: int) -> None:
    await play(seed, tmp_path)


async def test_generated_histories_have_rows_read_by_their_changed_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[CheckedRow] = []
    check_changed = RowChecker.check_changed

    def counted(*of: object) -> CheckedRow | None:
        row = check_changed(*of)  # type: ignore[arg-type]
        if row:
            read.append(row)
        return row

    monkeypatch.setattr(RowChecker, "check_changed", counted)
    for seed in range(30, 60, 3):
        (folder := tmp_path / str(seed)).mkdir()
        await play(seed, folder)
        if len(read) >= 10:
            return
    raise AssertionError(f"in ten histories there are {len(read)} such rows")
