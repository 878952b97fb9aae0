"""The demo's three days of user lists are what its titles say."""

from __future__ import annotations

import csv

import pytest

from tests.support import ROOT

DEMO = ROOT / "deploy" / "demo"


def people(day: str) -> list[dict[str, str]]:
    with (DEMO / f"{day}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def addresses(day: str) -> list[str]:
    return [person["email"] for person in people(day)]


@pytest.mark.parametrize("day", ["monday", "tuesday"])
def test_every_user_is_listed_once_and_every_manager_is_a_user(day: str) -> None:
    listed = addresses(day)
    assert len(set(listed)) == len(listed) >= 40
    assert {person["manager"] for person in people(day)} - {""} <= set(listed)
    assert {person["coach"] for person in people(day)} - {""} <= set(listed)


def test_managers_are_listed_below_their_reports() -> None:
    listed = addresses("monday")
    assert listed[-1].startswith("grace.okafor")
    assert any(person["manager"] == listed[-1] for person in people("monday")[:10])


def test_team_names_hold_commas() -> None:
    assert any("Tech\\, London" in person["secondary_team"] for person in people("monday"))


def test_tuesday_has_users_who_are_new_absent_and_changed() -> None:
    before = {person["email"]: person for person in people("monday")}
    after = {person["email"]: person for person in people("tuesday")}
    assert after.keys() - before.keys()
    assert before.keys() - after.keys()
    assert any(after[who] != before[who] for who in after.keys() & before.keys())


def test_wednesday_is_the_first_half_of_tuesday() -> None:
    whole, half = ((DEMO / f"{day}.csv").read_bytes() for day in ("tuesday", "wednesday"))
    assert whole.startswith(half)
    assert len(half) / len(whole) == pytest.approx(0.5, abs=0.05)
