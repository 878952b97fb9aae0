"""Work that a server has started and does not know of any more is lost, but not at once."""

from __future__ import annotations

from dataclasses import dataclass

from importer.model import ImportState
from importer.worker.lost import ARRIVING_S, RUNNING_S, Lost


@dataclass(frozen=True)
class Work:
    key: tuple[str, int]
    claim: int = 1
    state: ImportState = ImportState.RUNNING


ONE, OTHER = Work(("acme", 1)), Work(("globex", 1))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_start_that_stays_unknown_is_lost_after_some_seconds() -> None:
    clock = Clock()
    lost = Lost(clock)
    assert lost.among([ONE, OTHER], {OTHER.key}) == []
    clock.now += RUNNING_S
    assert lost.among([ONE, OTHER], {OTHER.key}) == [ONE]


def test_a_start_that_became_known_or_another_one_waits_anew() -> None:
    clock = Clock()
    lost = Lost(clock)
    lost.among([ONE], ())
    clock.now += RUNNING_S
    assert lost.among([Work(ONE.key, claim=2)], ()) == []
    assert lost.among([ONE], {ONE.key}) == []
    clock.now += RUNNING_S
    assert lost.among([ONE], ()) == []


def test_a_file_that_arrives_is_lost_only_much_later() -> None:
    clock = Clock()
    lost, arriving = Lost(clock), Work(("acme", 2), 0, ImportState.ARRIVING)
    lost.among([arriving], ())
    clock.now += RUNNING_S
    assert lost.among([arriving], ()) == []
    clock.now += ARRIVING_S
    assert lost.among([arriving], ()) == [arriving]
