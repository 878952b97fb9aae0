"""Managers and coaches: resolved whatever the order of rows, never a reason to reject one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.links import find_loops
from importer.model import ImportState, Outcome
from tests.support.importing import HEADER, Company, codes, sheet


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path)


def staff(deactivate: tuple[str, ...] = (), **managers: str) -> bytes:
    """People by first name with the first name (or the text with an @) of their manager."""
    rows = [
        (
            name,
            "Smith",
            f"{name}@example.com",
            f"{manager}@example.com" if manager.isalpha() else manager,
            "1" if name in deactivate else "",
        )
        for name, manager in managers.items()
    ]
    return sheet(*rows, header=(*HEADER, "manager", "deactivate"))


async def managers(company: Company) -> dict[str, str | None]:
    users = await company.users()
    return {name.split("@")[0]: user["manager"] and user["manager"].split("@")[0] for name, user in users.items()}


def said(outcome: Outcome) -> list[tuple[int | None, str]]:
    return [(problem.line, problem.code) for problem in outcome.messages]


async def test_managers_may_stand_below_their_reports(company: Company) -> None:
    outcome = await company.run(staff(ann="ben", ben="cleo", cleo=""))
    assert await managers(company) == {"ann": "ben", "ben": "cleo", "cleo": None}
    assert (outcome.counts.created, outcome.counts.updated, codes(outcome)) == (3, 0, [])


async def test_a_manager_may_come_thousands_of_rows_later(company: Company) -> None:
    crowd = {f"p{number}": "boss" for number in range(4500)}
    content = staff(ann="boss", zed="") + b"".join(
        b"%s,Smith,%s@example.com,%s@example.com,\n" % (name.encode(), name.encode(), boss.encode())
        for name, boss in crowd.items()
    )
    content += b"boss,Smith,boss@example.com,,\n"
    outcome = await company.run(content)
    found = await managers(company)
    assert (found["ann"], found["p0"], found["p4499"], found["boss"]) == ("boss", "boss", "boss", None)
    assert outcome.counts.created == 4503
    again = await company.run(content)
    assert (again.state, again.counts.unchanged) == (ImportState.UNCHANGED, 4503)


async def test_a_known_user_whose_new_manager_comes_later_counts_as_updated_once(company: Company) -> None:
    await company.run(staff(ann="", ben=""))
    outcome = await company.run(staff(ann="new", ben="", new=""))
    assert (outcome.counts.updated, outcome.counts.unchanged, outcome.counts.created) == (1, 1, 1)
    assert (await managers(company))["ann"] == "new"
    assert await company.sql("SELECT field, old, new FROM changes WHERE import_id = 2 AND field <> 'created'") == [
        ("manager_id", None, 3)
    ]
    assert (await company.run(staff(ann="new", ben="", new=""))).state is ImportState.UNCHANGED


@pytest.mark.parametrize(
    ("manager", "code"),
    [("nobody@example.com", "unknown_link"), ("ann@example.com", "link_to_oneself"), ("The Boss", "malformed_link")],
)
async def test_a_link_that_cannot_be_resolved_stays_as_it_was_and_is_said_every_time(
    company: Company, manager: str, code: str
) -> None:
    await company.run(staff(ann="ben", ben=""))
    for _ in range(2):
        outcome = await company.run(staff(ann=manager, ben=""))
        assert said(outcome) == [(2, code)]
        assert outcome.messages[0].value == manager
        assert outcome.state is ImportState.UNCHANGED
    assert (await managers(company))["ann"] == "ben"


async def test_a_blank_manager_clears_the_link(company: Company) -> None:
    await company.run(staff(ann="ben", ben=""))
    await company.run(staff(ann="", ben=""))
    assert (await managers(company))["ann"] is None


async def test_a_link_to_a_deactivated_user_is_stored_with_a_warning_when_it_is_set(company: Company) -> None:
    await company.run(staff(ann="", ben=""))
    await company.run(staff(ann="", ben="", deactivate=("ben",)))
    outcome = await company.run(staff(ann="ben", ben="", deactivate=("ben",)))
    assert said(outcome) == [(2, "deactivated_link")]
    assert (await managers(company))["ann"] == "ben"
    again = await company.run(staff(ann="ben", ben="", deactivate=("ben",)))
    assert codes(again) == []


async def test_deactivating_a_manager_is_said_for_every_report(company: Company) -> None:
    await company.run(staff(ann="ben", cleo="ben", ben="", dora=""))
    outcome = await company.run(staff(ann="ben", cleo="ben", ben="", dora="", deactivate=("ben",)))
    assert said(outcome) == [(2, "deactivated_link"), (3, "deactivated_link")]


async def test_whoever_has_the_address_now_is_who_is_meant(company: Company) -> None:
    content = staff(ann="", ben="ann")
    await company.run(content)
    await company.sql("UPDATE users SET (email, email_key) = ('old@e.com', 'old@e.com') WHERE first_name = 'ann'")
    outcome = await company.run(content)
    assert (outcome.counts.created, outcome.counts.updated) == (1, 1)
    assert await managers(company) == {"old": None, "ann": None, "ben": "ann"}


async def test_who_was_removed_by_hand_is_nobodys_manager_any_more(company: Company) -> None:
    await company.run(staff(ben="ann", ann=""))
    await company.sql("DELETE FROM users WHERE first_name = 'ann'")
    await company.run(sheet(("cleo", "Smith", "cleo@example.com")))  # may be given the id that is free again
    assert await managers(company) == {"ben": None, "cleo": None}


async def test_a_reporting_loop_is_one_warning_that_names_everyone_in_it(company: Company) -> None:
    await company.run(staff(ann="", ben="ann", cleo="ben"))
    outcome = await company.run(staff(ann="cleo", ben="ann", cleo="ben"))
    (problem,) = outcome.messages
    assert problem.code == "reporting_loop"
    assert all(name in problem.message for name in ("ann@", "ben@", "cleo@"))
    assert (await managers(company))["ann"] == "cleo"
    assert codes(await company.run(staff(ann="cleo", ben="ann", cleo="ben"))) == []


async def test_a_loop_of_a_whole_broken_file_is_told_in_a_message_of_bounded_length(company: Company) -> None:
    rows = [("A", "S", f"{n}@example.com", f"{(n + 1) % 1500}@example.com") for n in range(1500)]
    (problem,) = (await company.run(sheet(*rows, header=(*HEADER, "manager")))).messages
    assert problem.code == "reporting_loop"
    assert "999@example.com -> (500 more)." in problem.message


async def test_a_loop_of_new_users_is_found(company: Company) -> None:
    ring = {f"r{number}": f"r{(number + 1) % 50}" for number in range(50)}
    outcome = await company.run(
        sheet(*[(n, "S", f"{n}@e.com", f"{m}@e.com") for n, m in ring.items()], header=(*HEADER, "manager"))
    )
    assert codes(outcome) == ["reporting_loop"]


@given(st.dictionaries(st.integers(1, 12), st.integers(1, 12)))
def test_loops_are_those_a_walk_of_every_user_finds(chart: dict[int, int]) -> None:
    expected = set()
    for start in chart:
        here, members = chart[start], [start]
        while here in chart and here not in members:
            members.append(here)
            here = chart[here]
        if here == start:
            expected.add(frozenset(members))
    found = find_loops(chart)
    assert {frozenset(loop) for loop in found} == expected
    assert len(found) == len(expected)
