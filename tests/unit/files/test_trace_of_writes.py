"""The record of how a file was written, which the guard of imports reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.model import Written
from server.files.local import records
from server.files.local.records import Memory
from server.files.written import Trace


def traced(*writes: tuple[int, int]) -> Trace:
    trace = Trace()
    for offset, length in writes:
        trace.wrote(offset, length)
    return trace


def test_a_complete_file_ends_in_a_shorter_write() -> None:
    facts = traced((0, 100), (100, 100), (200, 40)).facts(240)
    assert facts == Written(writes=3, longest=100, last=40, foreign=False)
    assert not facts.ends_full


def test_a_cut_file_ends_in_a_full_write() -> None:
    assert traced((0, 100), (100, 100)).facts(200).ends_full


def test_one_write_does_not_show_a_cut_file() -> None:
    assert not traced((0, 100)).facts(100).ends_full


def test_the_write_at_the_end_of_the_file_counts_not_the_newest() -> None:
    assert traced((100, 40), (0, 100)).facts(140).last == 40


def test_a_file_cut_or_extended_afterwards_has_no_write_at_its_end() -> None:
    assert traced((0, 100), (100, 100)).facts(150).last == 0
    assert traced((0, 100), (100, 100)).facts(250) == Written(2, 100, 0, foreign=True)


def test_bytes_of_an_older_file_are_foreign() -> None:
    assert traced((100, 50)).facts(150).foreign
    assert traced((0, 10)).facts(150).foreign
    assert not traced((0, 10)).facts(10).foreign
    assert not Trace().facts(0).foreign


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 40)), max_size=200), st.integers(0, 340))
def test_bytes_that_no_write_covered_are_foreign(writes: list[tuple[int, int]], size: int) -> None:
    covered = {position for offset, length in writes for position in range(offset, offset + length)}
    facts = traced(*writes).facts(size)
    assert facts.foreign == (not set(range(size)) <= covered)
    assert facts.longest == max((length for _, length in writes), default=0)


def test_a_scattered_file_takes_little_memory_and_counts_as_foreign() -> None:
    trace = Trace()
    for number in range(20_000):
        trace.wrote(number * 10, 5)
    assert len(trace._spans) < 10_000
    assert trace.facts(200_000).foreign


def test_the_record_of_writes_stays_with_a_renamed_file_after_a_restart(tmp_path: Path) -> None:
    facts = Written(3, 100, 40, foreign=False)
    with open(tmp_path / "file", "wb") as file:
        Memory().keep(file.fileno(), facts)
    (tmp_path / "file").rename(tmp_path / "other")
    with open(tmp_path / "other", "rb") as file:
        assert Memory().recall(file.fileno()) == facts


def test_a_file_that_came_another_way_has_no_record_of_writes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with open(tmp_path / "file", "rb") as file:
        assert Memory().recall(file.fileno()) is None


@pytest.mark.logs("no_extended_attributes")
def test_without_extended_attributes_the_record_is_kept_until_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(records.os, "setxattr", unsupported)
    memory, facts = Memory(), Written(3, 100, 40, foreign=False)
    with open(tmp_path / "file", "wb") as file:
        memory.keep(file.fileno(), facts)
        memory.keep(file.fileno(), facts)
        assert memory.recall(file.fileno()) == facts
        assert Memory().recall(file.fileno()) is None
    assert len(caplog.records) == 1
