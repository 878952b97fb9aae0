"""Undo sets back what an import changed, once; it keeps and reports later changes."""

from __future__ import annotations

import asyncio
import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.sqlite.tenant.undoing import NEWEST_CHANGE
from importer.errors import Refused, Stopped
from importer.model import ImportState
from tests.integration.reconcile.test_properties import TRUSTING, batches, files, quick, run, written
from tests.support.importing import Company, codes, people, sheet
from tests.support.installation import company_in
from tests.support.reference import Row

ALL = {"deactivate_missing": True, **TRUSTING}
JOBS = ("first_name", "last_name", "email", "job_title")


async def test_users_whose_creation_was_undone_are_the_same_users_when_created_again(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann", "ben"))
    before = await company.sql("SELECT id, email FROM users ORDER BY id")
    undone = await company.undo()
    assert undone.state is ImportState.UNDONE
    assert (undone.counts.created, undone.active) == (2, 0)
    assert {user["state"] for user in (await company.users()).values()} == {"deactivated"}
    leaver = await company.run(people("ann", deactivate="1"))
    assert (codes(leaver), leaver.counts.ignored) == (["deactivate_unknown"], 1)
    again = await company.run(people("ann", "ben", "cleo"))
    assert again.counts.created == 3
    assert (await company.sql("SELECT id, email FROM users ORDER BY id"))[:2] == before
    assert {user["state"] for user in (await company.users()).values()} == {"active"}
    assert (await company.run(people("ann", "ben", "cleo"))).state is ImportState.UNCHANGED


@pytest.mark.parametrize("back", [timedelta(minutes=1), timedelta(days=7), timedelta(0)])
async def test_the_newest_is_the_one_applied_last_when_the_clock_steps_back(tmp_path: Path, back: timedelta) -> None:
    company, noon = company_in(tmp_path), datetime(2026, 3, 1, 12, tzinfo=UTC)
    await company.run(people("ann"), now=noon)
    await company.run(people("ann", job_title="Boss"), now=noon - back)
    with pytest.raises(Refused, match="undo import 2 first"):
        await company.undo(1)
    assert (await company.undo(2)).state is ImportState.UNDONE
    assert (await company.undo(1)).state is ImportState.UNDONE


@pytest.mark.only_on("sqlite", "query plans")
async def test_the_newest_is_found_by_index(tmp_path: Path) -> None:
    await company_in(tmp_path).run(people("ann"))
    plan = await company_in(tmp_path).sql(f"EXPLAIN QUERY PLAN {NEWEST_CHANGE}")
    assert [row[3] for row in plan] == ["SCAN applied USING INDEX applied_in_order"]  # and it sorts no other row


async def test_a_user_created_again_by_two_rows_is_created_once(tmp_path: Path) -> None:
    company = company_in(tmp_path, batch_rows=1)
    await company.run(people("ann"))
    await company.undo()
    again = await company.run(people("ann", "ann"))
    assert (again.counts.created, codes(again)) == (1, ["duplicate_identifier"])


async def test_undo_sets_back_values_and_reactivates_deactivated_users(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann", "ben", job_title="Baker", primary_team="Ops"))
    before = await company.users()
    await company.run(people("ann", job_title="Boss", primary_team="Sales", manager="ben@example.com"), **ALL)
    assert (await company.users())["ben@example.com"]["state"] == "deactivated"
    undone = await company.undo()
    assert await company.users() == before
    assert "changed_since" not in codes(undone)
    assert ": 2 users set back." in (undone.message or "")
    assert undone.active == 2


async def test_undo_keeps_and_reports_fields_changed_since_the_import(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann", job_title="Baker", role="hr"))
    await company.run(people("ann", job_title="Boss", role="admin"))
    await company.sql("UPDATE users SET job_title = 'Queen'")
    undone = await company.undo()
    ann = (await company.users())["ann@example.com"]
    assert (ann["job_title"], ann["role"]) == ("Queen", "hr")
    assert [(problem.code, problem.column) for problem in undone.messages] == [("changed_since", "job_title")]
    assert ": 1 user set back; 1 message says what was not restored." in (undone.message or "")
    assert "ann@example.com" in undone.messages[0].message
    kept = (company.messages / "2.undo.jsonl").read_text("utf-8")
    assert [json.loads(line)["column"] for line in kept.splitlines()] == ["job_title"]


async def test_a_team_removed_since_the_import_is_not_set_back(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann", primary_team="Ops", location="Rome"))
    await company.run(people("ann", primary_team="Sales", location="Oslo"))
    await company.sql("DELETE FROM teams WHERE name = 'Ops'")
    undone = await company.undo()
    ann = (await company.users())["ann@example.com"]
    assert (ann["primary_team"], ann["location"]) == ("Sales", "Rome")
    assert [(problem.code, problem.column) for problem in undone.messages] == [("removed_since", "primary_team")]


async def test_secondary_teams_removed_since_are_not_set_back(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann", secondary_team="Ops,Cooks"))
    await company.run(people("ann", secondary_team="Ops"))
    await company.sql("DELETE FROM teams WHERE name = 'Cooks'")
    undone = await company.undo()
    # A new team may get the id of the deleted one.
    await company.run(people("ben", primary_team="Sales"))
    assert (await company.users())["ann@example.com"]["secondary_team"] == []
    assert [(problem.code, problem.column) for problem in undone.messages] == [("removed_since", "secondary_team")]
    assert undone.message == "Undone by operator: no user was set back; 1 message says what was not restored."


async def test_a_new_user_is_not_mistaken_for_one_removed_by_hand(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann", "ben", role="hr"), invitations="immediately")
    await company.run(people("ben", role="admin"))
    await company.sql("UPDATE invitations SET state = 'sent', sent_at = '2026-01-01T00:00:00Z'")
    await company.sql("DELETE FROM users WHERE email = 'ben@example.com'")
    outcome = await company.run(people("cleo", role="admin"), invitations="immediately")
    assert outcome.counts.invitations == 1
    await company.undo(3)
    assert "removed_since" in codes(await company.undo(2))
    assert (await company.users())["cleo@example.com"]["role"] == "admin"


async def test_a_new_user_is_not_mistaken_for_a_removed_one_with_only_a_history(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann", "ben", role="hr"))
    await company.run(people("ben", role="admin"))
    await company.sql("DELETE FROM users WHERE email = 'ben@example.com'")
    await company.run(people("cleo", role="admin"))
    await company.undo(3)
    assert "removed_since" in codes(await company.undo(2))
    assert (await company.users())["cleo@example.com"]["role"] == "admin"


async def test_a_new_user_is_not_mistaken_for_a_removed_one_with_only_an_invitation(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann", "ben"), invitations="immediately")
    await company.sql("UPDATE invitations SET state = 'sent', sent_at = '2026-01-01T00:00:00Z'")
    await company.sql("DELETE FROM users WHERE email = 'ben@example.com'")
    await company.sql("DELETE FROM changes")
    outcome = await company.run(people("cleo"), invitations="immediately")
    assert (outcome.counts.created, outcome.counts.invitations) == (1, 1)


async def test_undone_and_deactivated_users_are_not_counted_as_active(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann", "ben", "cleo"))
    await company.run(people("ann", "cleo"), **ALL)
    await company.run(people("ann", "cleo", "dora", "eve"))
    assert (await company.undo()).active == 2
    held = await company.run(people("ann", job_title="Boss"), max_updates_percent=40)
    assert (held.state, held.guard and held.guard.active, held.active) == (ImportState.HELD, 2, 2)


async def test_an_undo_deactivates_no_protected_user(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann"))
    await company.sql("UPDATE users SET protected = true")
    undone = await company.undo()
    assert (await company.users())["ann@example.com"]["state"] == "active"
    assert codes(undone) == ["protected_user"]


async def test_a_protected_user_that_the_import_reactivated_stays_active(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann", "ben", job_title="Baker"))
    await company.run(people("ann", job_title="Baker"), **ALL)
    await company.run(people("ann", "ben", job_title="Boss"))
    await company.sql("UPDATE users SET protected = true WHERE email = 'ben@example.com'")
    undone = await company.undo()
    ben = (await company.users())["ben@example.com"]
    assert (ben["state"], ben["job_title"]) == ("active", "Baker")
    assert codes(undone) == ["protected_user"]


async def test_a_user_that_the_import_deactivated_is_active_again_though_protected(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann", "ben"))
    await company.run(people("ann"), **ALL)
    await company.sql("UPDATE users SET protected = true WHERE email = 'ben@example.com'")
    undone = await company.undo()
    assert (await company.users())["ben@example.com"]["state"] == "active"
    assert "protected_user" not in codes(undone)


async def test_a_user_who_changed_since_in_another_field_is_undone_and_keeps_that(tmp_path: Path) -> None:
    own: dict[str, Any] = {"custom_fields": ({"key": "desk"}, {"key": "floor"}, {"key": "room"})}
    company = company_in(tmp_path)
    await company.run(people("ann", job_title="Baker", desk="a", floor="1"), **own)
    await company.run(people("ann", job_title="Boss", desk="b", floor="2"), **own)
    by_hand = '{"desk": "b", "floor": "2", "room": "by hand"}'
    await company.sql("UPDATE users SET role = 'hr', custom = '" + by_hand + "'")
    undone = await company.undo()
    ann = (await company.users())["ann@example.com"]
    assert (ann["job_title"], ann["role"]) == ("Baker", "hr")
    assert ann["custom"] == {"desk": "a", "floor": "1", "room": "by hand"}
    assert codes(undone) == []


async def test_a_link_set_by_hand_to_a_user_it_created_is_a_warning_in_the_next_import(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann"))
    await company.run(people("ben"))
    await company.sql("UPDATE users SET manager_id = 2 WHERE id = 1")
    content = people("ann", manager="ben@example.com")
    assert (await company.run(content)).state is ImportState.UNCHANGED
    await company.undo(2)
    assert codes(await company.run(content)) == ["unknown_link"]


async def test_imports_that_changed_users_are_undone_newest_first(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann"))
    await company.run(people("ann", "ben"))
    assert (await company.run(people("ann", "ben"))).state is ImportState.UNCHANGED
    for wrong, code in ((1, "not_newest"), (3, "not_newest"), (9, "not_kept")):
        with pytest.raises(Refused) as refused:
            await company.undo(wrong)
        assert refused.value.code == code
    await company.undo(2)
    with pytest.raises(Refused) as refused:
        await company.undo(2)
    assert refused.value.code == "already_undone"
    await company.undo(1)
    assert (await company.sql("SELECT count(*) FROM users WHERE known = true")) == [(0,)]


async def test_an_import_that_changed_no_user_is_not_undone(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    assert (await company.run(people("ann", deactivate="1"))).state is ImportState.UNCHANGED
    with pytest.raises(Refused) as refused:
        await company.undo()
    assert (refused.value.code, "undo import" in str(refused.value)) == ("not_newest", False)


async def test_an_undo_is_written_with_its_effects(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann"))
    assert await company.kept.outcome_of_undo(1) is None
    undone = await company.undo()
    assert await company.kept.outcome_of_undo(1) == undone
    assert await company.kept.outcome_of_undo(2) is None


async def test_the_next_file_is_compared_with_the_import_before(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    all_users = [f"p{number}" for number in range(20)]
    await company.run(people(*all_users[:10]), deactivate_missing=True)
    await company.run(people(*all_users), deactivate_missing=True)
    await company.undo()
    smaller = await company.run(people(*all_users[1:10]), deactivate_missing=True)
    assert smaller.state is ImportState.COMPLETED  # with 20 rows before it, 9 would be too few
    assert smaller.counts.deactivated == 1


async def test_the_first_import_after_the_first_was_undone_has_no_limit_of_creations(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann", "ben"))
    await company.undo()
    again = await company.run(people("ann", "ben"), max_creations_percent=1)
    assert (again.state, again.counts.created) == (ImportState.COMPLETED, 2)


async def test_the_creation_of_thousands_of_users_is_undone(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    rows = [(f"N{i}", "Smith", f"n{i}@example.com") for i in range(5000)]
    await company.run(sheet(*rows))
    before = await company.users()
    await company.run(sheet(*rows[:100], *[("X", "Y", f"x{i}@example.com") for i in range(5000)]), **ALL)
    await company.undo()
    users = await company.users()
    assert {address: users[address] for address in before} == before
    assert await company.sql("SELECT count(*) FROM users WHERE known = false") == [(5000,)]
    assert (await company.run(sheet(*rows), **ALL)).state is ImportState.UNCHANGED


async def test_a_link_does_not_find_a_user_whose_creation_was_undone(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann"))
    await company.run(people("ben"))
    await company.undo()
    linked = await company.run(people("ann", manager="ben@example.com"))
    assert codes(linked) == ["unknown_link"]


async def test_a_user_reactivated_by_hand_is_found_again(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann"))
    await company.undo()
    await company.sql("UPDATE users SET state = 'active'")
    assert (await company.run(people("ann"))).state is ImportState.UNCHANGED


HAND = ("job_title", "first_name")


@settings(quick, max_examples=30)
@given(st.lists(st.tuples(files(), st.booleans()), min_size=1, max_size=5), st.integers(0, 5), batches)
def test_undo_restores_the_users_as_they_were(
    steps: list[tuple[list[Row], bool]], undone: int, batch_rows: int
) -> None:
    async def scenario() -> None:
        with tempfile.TemporaryDirectory() as folder:
            company = company_in(Path(folder), batch_rows)
            before: list[tuple[int, Any, Any]] = []
            for rows, missing in steps:
                now = await _known(company)
                outcome = await company.run(written(rows), deactivate_missing=missing, **TRUSTING)
                if outcome.state is not ImportState.FAILED and outcome.counts.changed:
                    before.append((company.imports, now, outcome))
            for import_id, users, outcome in reversed(before[-undone:] if undone else []):
                report = await company.undo(import_id)
                assert (report.state, report.counts) == (ImportState.UNDONE, outcome.counts)
                assert await _known(company) == users
            # Undone users are created again as if new: the same file has the same effect.
            if undone and before:
                import_id, _, outcome = before[-min(undone, len(before))]
                rows, missing = steps[import_id - 1]
                again = await company.run(written(rows), deactivate_missing=missing, **TRUSTING)
                assert (again.state, again.counts.created) == (outcome.state, outcome.counts.created)

    run(scenario())


@settings(quick, max_examples=30)
@given(files(unique=True), files(unique=True), st.sampled_from(HAND), st.integers(0, 5), batches)
def test_undo_sets_back_all_fields_but_those_changed_since(
    first: list[Row], second: list[Row], name: str, whose: int, batch_rows: int
) -> None:
    async def scenario() -> None:
        with tempfile.TemporaryDirectory() as folder:
            company = company_in(Path(folder), batch_rows)
            await company.run(written(first), **TRUSTING)
            before = await company.users()
            outcome = await company.run(written(second), **TRUSTING)
            if outcome.state is ImportState.FAILED or not outcome.counts.changed:
                return
            address = sorted(before)[whose % len(before)] if before else ""
            changed = await company.sql(
                "SELECT 1 FROM changes JOIN users ON users.id = user_id WHERE import_id = 2 AND email = ?"
                " AND field = ?",
                (address, name),
            )
            await company.sql(f"UPDATE users SET {name} = 'By hand' WHERE email = ?", (address,))
            report = await company.undo()
            users = await company.users()
            if address:
                before[address][name] = "By hand"
            assert {one: users[one] for one in before} == before
            assert codes(report).count("changed_since") == len(changed)

    run(scenario())


async def _known(company: Company) -> dict[str, Any]:
    users = await company.users()
    unknown = {row[0] for row in await company.sql("SELECT email FROM users WHERE known = false")}
    return {address: user for address, user in users.items() if address not in unknown}


def test_an_undo_that_is_told_to_stop_changes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        company = company_in(tmp_path)
        await company.run(people("ann", job_title="Baker"))
        await company.run(people("ann", job_title="Boss"))
        with pytest.raises(Stopped):
            await company.undo(stopping=lambda: True)
        assert (await company.users())["ann@example.com"]["job_title"] == "Boss"
        assert (await company.undo()).state is ImportState.UNDONE

    asyncio.run(scenario())
