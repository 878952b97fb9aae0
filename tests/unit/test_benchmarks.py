"""The arithmetic of the benchmarks: a flattering table would be worse than none."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from benchmarks.figures import Figure, table
from benchmarks.people import HEADER, write_people


@pytest.mark.parametrize(("ours", "holds"), [([1.9, 9.0, 2.0], True), ([2.1, 0.1, 2.2], False)])
def test_a_promise_holds_by_the_ratio_of_the_medians(ours: list[float], holds: bool) -> None:
    figure = Figure("an import", "s", ours, "the floor", [1.0, 1.0, 50.0], most=2.0)
    assert figure.ratio == sorted(ours)[1]
    assert figure.holds is holds


def test_an_absolute_promise_does_not_depend_on_the_peer() -> None:
    assert Figure("memory", "MiB", [299.0], "idle", [1.0], most=300, absolute=True).holds is True
    assert Figure("memory", "MiB", [301.0], "idle", [999.0], most=300, absolute=True).holds is False


def test_the_table_names_the_promises_that_fail() -> None:
    broken, shown = table([Figure("a", "s", [3.0], "p", [1.0], most=2.0), Figure("b", "s", [3.0])]).splitlines()[2:]
    assert broken.split("|")[-4:-1] == [" 3.00  ", " <= 2 times ", " NO  "]
    assert shown.split("|")[-2].strip() == ""


def test_the_same_seed_gives_the_same_company(tmp_path: Path) -> None:
    one, other = (write_people(tmp_path / name, 500).read_bytes() for name in ("one", "other"))
    assert one == other


def test_every_user_is_listed_once_and_has_a_manager_of_the_company(tmp_path: Path) -> None:
    with write_people(tmp_path / "people.csv", 3000).open(encoding="utf-8", newline="") as file:
        people = list(csv.DictReader(file, strict=True))
    addresses = {person["email"] for person in people}
    assert len(addresses) == len(people) == 3000
    assert {person["manager"] for person in people} - {""} <= addresses
    assert all(None not in person and None not in person.values() for person in people)
    assert len(HEADER.split(",")) == 14


def test_a_changed_list_differs_in_about_the_requested_number_of_rows(tmp_path: Path) -> None:
    before = write_people(tmp_path / "before.csv", 5000).read_text(encoding="utf-8").splitlines()
    after = write_people(tmp_path / "after.csv", 5000, changed=0.01).read_text(encoding="utf-8").splitlines()
    changed = sum(one != other for one, other in zip(before, after, strict=True))
    assert changed == pytest.approx(50, abs=30)
