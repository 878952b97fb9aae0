"""Files read side by side with the one before them, and read alone: the same, whatever happened in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.histories import play


@pytest.mark.parametrize("seed", range(40))
async def test_a_file_beside_the_one_before_comes_to_what_it_does_alone(tmp_path: Path, seed: int) -> None:
    await play(seed, tmp_path)
