"""A command that changes something waits for an import that holds the database, and for nothing else."""

from __future__ import annotations

import pytest

from importer.errors import TryAgain
from server.cli.data import PATIENCE, patiently


class Change:
    def __init__(self, *refusals: str) -> None:
        self.refusals = list(refusals)
        self.tries = 0

    async def __call__(self) -> str:
        self.tries += 1
        if self.refusals:
            raise TryAgain(self.refusals.pop(0), "not now")
        return "done"


async def test_a_command_waits_for_a_busy_database_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert await patiently(Change("database_busy", "database_busy")) == "done"
    assert capsys.readouterr().err.count("Waiting for it to end") == 2


async def test_a_command_stops_waiting_after_the_last_try() -> None:
    change = Change(*["database_busy"] * PATIENCE)
    with pytest.raises(TryAgain):
        await patiently(change)
    assert change.tries == PATIENCE


async def test_a_command_does_not_wait_for_a_full_disk(capsys: pytest.CaptureFixture[str]) -> None:
    change = Change("disk_full")
    with pytest.raises(TryAgain):
        await patiently(change)
    assert (change.tries, capsys.readouterr().err) == (1, "")
