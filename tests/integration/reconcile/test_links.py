"""Managers and coaches are found in any order of rows; a wrong one rejects no row."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.model import ImportState, Outcome
from importer.reconcile.ending.links import Links, find_loops
from importer.reconcile.roster import Roster
from importer.rules.identity import BY_ADDRESS
from tests.support.importing import HEADER, Company, codes, sheet
from tests.support.installation import company_in


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return company_in(tmp_path)


def staff(deactivate: tuple[str, ...] = (), **managers: str) -> bytes:
    """Return rows by first name, with the first name (or the text with an @) of the manager."""
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


async def test_a_manager_may_come_later_in_the_file_than_their_reports(company: Company) -> None:
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


@pytest.fixture
def row_by_row(tmp_path: Path) -> Company:
    """A company with batches of one row: every link to a later row waits."""
    return company_in(tmp_path, batch_rows=1)


def titled(title: str, **managers: str) -> bytes:
    """Return `staff` with this job title for the first and none for the others."""
    rows = [
        (name, "Smith", f"{name}@example.com", f"{manager}@example.com" if manager else "", "" if number else title)
        for number, (name, manager) in enumerate(managers.items())
    ]
    return sheet(*rows, header=(*HEADER, "manager", "job_title"))


async def test_a_changed_user_whose_manager_comes_later_counts_once(row_by_row: Company) -> None:
    await row_by_row.run(titled("Baker", ann="", ben="", cleo="", dora=""))
    outcome = await row_by_row.run(
        titled("Boss", ann="new", ben="", cleo="", dora="", new=""), max_updates_percent=25
    )
    counts = outcome.counts
    assert (outcome.state, counts.updated, counts.unchanged, counts.created) == (ImportState.COMPLETED, 1, 3, 1)
    ann = (await row_by_row.users())["ann@example.com"]
    assert (ann["job_title"], ann["manager"]) == ("Boss", "new@example.com")


async def test_a_returning_user_whose_manager_comes_later_counts_as_reactivated_only(row_by_row: Company) -> None:
    await row_by_row.run(staff(ann="", ben=""))
    await row_by_row.run(staff(ann="", ben="", deactivate=("ann",)))
    counts = (await row_by_row.run(staff(ann="new", ben="", new=""))).counts
    assert (counts.reactivated, counts.updated, counts.unchanged, counts.created) == (1, 0, 1, 1)
    assert (await managers(row_by_row))["ann"] == "new"


async def test_a_leaver_whose_manager_comes_later_counts_as_deactivated_only(row_by_row: Company) -> None:
    await row_by_row.run(staff(ann="", ben="", cleo=""))
    counts = (await row_by_row.run(staff(ann="new", ben="", cleo="", new="", deactivate=("ann",)))).counts
    assert (counts.deactivated, counts.updated, counts.unchanged, counts.created) == (1, 0, 2, 1)
    assert (await managers(row_by_row))["ann"] == "new"


async def test_a_manager_and_a_coach_are_both_kept_if_only_one_comes_later(row_by_row: Company) -> None:
    header = (*HEADER, "manager", "coach")
    boss, new = ("boss", "S", "boss@example.com", "", ""), ("new", "S", "new@example.com", "", "")
    ann = ("ann", "S", "ann@example.com", "boss@example.com", "new@example.com")
    ben = ("ben", "S", "ben@example.com", "new@example.com", "boss@example.com")
    await row_by_row.run(sheet(boss, ann, ben, new, header=header))
    users = await row_by_row.users()
    assert [
        (users[f"{name}@example.com"]["manager"], users[f"{name}@example.com"]["coach"]) for name in ("ann", "ben")
    ] == [("boss@example.com", "new@example.com"), ("new@example.com", "boss@example.com")]


async def test_a_link_that_waited_is_undone_with_its_import(row_by_row: Company) -> None:
    await row_by_row.run(titled("Baker", ann="ben", ben=""))
    before = await row_by_row.users()
    await row_by_row.run(titled("Boss", ann="new", ben="", new=""))
    undone = await row_by_row.undo()
    users = await row_by_row.users()
    assert {address: users[address] for address in before} == before
    assert codes(undone) == []


@pytest.mark.parametrize(
    ("manager", "code"),
    [("nobody@example.com", "unknown_link"), ("ann@example.com", "link_to_oneself"), ("The Boss", "malformed_link")],
)
async def test_an_unknown_link_is_not_changed_and_is_reported_every_time(
    company: Company, manager: str, code: str
) -> None:
    await company.run(staff(ann="ben", ben=""))
    for _ in range(2):
        outcome = await company.run(staff(ann=manager, ben=""))
        assert said(outcome) == [(2, code)]
        assert outcome.messages[0].value == manager
        assert outcome.state is ImportState.UNCHANGED
    assert (await managers(company))["ann"] == "ben"


@pytest.mark.parametrize(
    ("manager", "advice"),
    [
        ("Ben S (ben@example.com)", "Write only the address: ben@example.com."),
        ("Ben S <Ben@example.com>", "Write only the address: Ben@example.com."),
        ("mailto:ben@example.com", "Write only the address: ben@example.com."),
        ("ben@example.com; ann@example.com", "the email address of one manager"),
        ("N/A", "leave the cell blank"),
        ("-", "leave the cell blank"),
        ("1002", "Write the email address of the manager"),
    ],
)
async def test_a_malformed_manager_gets_a_message_with_the_fix(company: Company, manager: str, advice: str) -> None:
    await company.run(staff(ann="ben", ben=""))
    outcome = await company.run(staff(ann=manager, ben=""))
    assert said(outcome) == [(2, "malformed_link")]
    assert advice in outcome.messages[0].message
    assert "the manager was not changed" in outcome.messages[0].message.lower()
    assert (await managers(company))["ann"] == "ben"


async def test_a_spreadsheet_error_leaves_the_manager_unchanged(company: Company) -> None:
    await company.run(staff(ann="ben", ben=""))
    outcome = await company.run(staff(ann="#REF!", ben="#N/A"))
    assert said(outcome) == [(2, "spreadsheet_error")]
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


async def test_a_deactivated_manager_is_reported_for_every_report(company: Company) -> None:
    await company.run(staff(ann="ben", cleo="ben", ben="", dora=""))
    outcome = await company.run(staff(ann="ben", cleo="ben", ben="", dora="", deactivate=("ben",)))
    assert said(outcome) == [(2, "deactivated_link"), (3, "deactivated_link")]


async def test_an_address_links_to_the_user_who_has_it_now(company: Company) -> None:
    content = staff(ann="", ben="ann")
    await company.run(content)
    await company.sql("UPDATE users SET (email, email_key) = ('old@e.com', 'old@e.com') WHERE first_name = 'ann'")
    outcome = await company.run(content)
    assert (outcome.counts.created, outcome.counts.updated) == (1, 1)
    assert await managers(company) == {"old": None, "ann": None, "ben": "ann"}


async def test_a_user_removed_by_hand_is_no_longer_a_manager(company: Company) -> None:
    await company.run(staff(ben="ann", ann=""))
    await company.sql("DELETE FROM users WHERE first_name = 'ann'")
    await company.run(sheet(("cleo", "Smith", "cleo@example.com")))  # may get the free id
    assert await managers(company) == {"ben": None, "cleo": None}


async def test_a_reporting_loop_is_one_warning_that_names_all_its_users(company: Company) -> None:
    await company.run(staff(ann="", ben="ann", cleo="ben"))
    outcome = await company.run(staff(ann="cleo", ben="ann", cleo="ben"))
    (problem,) = outcome.messages
    assert problem.code == "reporting_loop"
    assert all(name in problem.message for name in ("ann@", "ben@", "cleo@"))
    assert (await managers(company))["ann"] == "cleo"
    assert codes(await company.run(staff(ann="cleo", ben="ann", cleo="ben"))) == []


async def test_a_very_long_loop_is_reported_in_a_message_of_limited_length(company: Company) -> None:
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


async def test_a_loop_of_users_created_again_is_found(company: Company) -> None:
    await company.run(staff(ann="", ben="ann"))
    await company.undo()
    outcome = await company.run(staff(ann="ben", ben="ann"))
    assert (said(outcome), outcome.counts.created) == ([(2, "reporting_loop")], 2)


async def test_a_deactivated_manager_of_a_user_created_again_is_a_warning(company: Company) -> None:
    await company.run(staff(ben="", cleo=""))
    await company.run(staff(ben="", cleo="", deactivate=("ben",)))
    content = staff(ann="ben", cleo="")
    assert said(await company.run(content)) == [(2, "deactivated_link")]
    await company.undo()
    outcome = await company.run(content)
    assert (said(outcome), outcome.counts.created) == ([(2, "deactivated_link")], 1)


async def test_a_deactivated_manager_is_a_warning_only_in_the_import_that_sets_the_link(company: Company) -> None:
    await company.run(titled("Baker", ann="ben", ben=""))
    await company.sql("UPDATE users SET state = 'deactivated' WHERE first_name = 'ben'")
    outcome = await company.run(staff(ann="ben", cleo="ben", dora=""))
    assert said(outcome) == [(3, "deactivated_link")]
    row = ("ann", "Smith", "ann@example.com", "Boss")
    outcome = await company.run(sheet(row, header=(*HEADER, "job_title")), detect_truncation=False)
    assert (outcome.counts.updated, codes(outcome)) == (1, [])


async def test_a_manager_who_leaves_is_not_reported_again_or_for_other_leavers(company: Company) -> None:
    await company.run(staff(ann="ben", ben="", cleo="ben", dora="", eve="", flo=""))
    leaving = staff(ann="ben", ben="", cleo="ben", dora="", eve="", flo="", deactivate=("ann", "ben"))
    assert said(await company.run(leaving)) == [(4, "deactivated_link")]
    outcome = await company.run(staff(cleo="ben", dora="eve", eve=""), detect_truncation=False)
    assert (outcome.counts.updated, codes(outcome)) == (1, [])


async def test_a_manager_who_leaves_is_a_warning_without_a_line_for_an_absent_report(company: Company) -> None:
    await company.run(staff(ann="ben", ben=""))
    outcome = await company.run(staff(ben="", deactivate=("ben",)), detect_truncation=False)
    assert said(outcome) == [(None, "deactivated_link")]
    assert "ann@example.com" in outcome.messages[0].message


async def test_a_loop_is_a_warning_only_in_the_import_that_closes_it(company: Company) -> None:
    await company.run(staff(ann="ben", ben="ann", cleo=""))
    outcome = await company.run(staff(ann="ben", ben="ann", cleo="ann", dora="ann"))
    assert (outcome.counts.updated, outcome.counts.created, codes(outcome)) == (1, 1, [])


async def test_a_manager_created_beside_the_user_is_linked_at_once(company: Company) -> None:
    await company.run(staff(ann=""))
    async with company.kept.importing(2, BY_ADDRESS, lambda work: work()) as keeps:
        links = Links(keeps.links, Roster(keeps.users, BY_ADDRESS))
        values = {"manager": "Ben@example.com", "coach": "cleo@example.com"}
        found = links.of(values, 2, 1, created={"ben@example.com": 7})
    assert (found.columns, found.waiting) == ({"manager_id": 7}, {"coach": "cleo@example.com"})


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
