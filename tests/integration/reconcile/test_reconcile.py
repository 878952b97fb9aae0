"""The effect of a row on a user, with real files and a real database."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from engine.sqlite.database import open_database
from importer.model import ImportState
from importer.reconcile import reconcile
from importer.reconcile.newcomers import Newcomers, part
from importer.reconcile.sheet import Sheet
from importer.rules.doubts import Doubts
from importer.rules.rows import CheckedColumns, RowChecker
from tests.support.importing import HEADER, Company, codes, people, sheet
from tests.support.installation import company_in
from tests.support.waiting import eventually

TEN = [f"user{number}" for number in range(10)]


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return company_in(tmp_path)


async def test_an_unknown_identifier_creates_an_active_user(company: Company) -> None:
    outcome = await company.run(people("ann", "ben"))
    users = await company.users()
    assert (outcome.state, outcome.counts.created) == (ImportState.COMPLETED, 2)
    assert users["ann@example.com"]["state"] == "active"
    assert users["ann@example.com"]["role"] == "learner"


async def test_a_known_identifier_overwrites_what_the_file_says_and_leaves_the_rest(company: Company) -> None:
    await company.run(people("ann", job_title="Baker", location="Oslo"))
    outcome = await company.run(people("ann", job_title="Head baker"))
    user = (await company.users())["ann@example.com"]
    assert outcome.counts.updated == 1
    assert (user["job_title"], user["location"]) == ("Head baker", "Oslo")


async def test_a_custom_column_that_is_not_in_the_file_leaves_that_field(company: Company) -> None:
    fields = [{"key": "desk"}, {"key": "floor", "type": "number"}]
    await company.run(people("ann", desk="D1", floor="2"), custom_fields=fields)
    await company.run(people("ann", desk="D2"), custom_fields=fields)
    assert (await company.users())["ann@example.com"]["custom"] == {"desk": "D2", "floor": 2}
    await company.run(people("ann", floor=""), custom_fields=fields)
    assert (await company.users())["ann@example.com"]["custom"] == {"desk": "D2"}
    history = await company.sql("SELECT import_id, field, old, new FROM changes WHERE field <> 'created'")
    assert history == [(2, "custom.desk", '"D1"', '"D2"'), (3, "custom.floor", "2", None)]


async def test_the_same_file_again_changes_no_user(company: Company) -> None:
    content = people("ann", "ben", job_title="Baker")
    await company.run(content)
    before = await company.sql("SELECT * FROM users")
    outcome = await company.run(content)
    assert (outcome.state, outcome.counts.unchanged) == (ImportState.UNCHANGED, 2)
    assert await company.sql("SELECT * FROM users") == before
    assert await company.sql("SELECT count(*) FROM changes WHERE import_id = 2") == [(0,)]


async def test_the_same_values_written_differently_are_unchanged(company: Company) -> None:
    await company.run(people("ann", role="hr"))
    outcome = await company.run(sheet(("Ann", " Smith ", "ANN@example.com", "HR"), header=(*HEADER, "role")))
    user_spellings = await company.run(people("ann", role="HR"))
    assert outcome.counts.updated == 1, "the new spelling of the address is stored"
    assert user_spellings.counts.updated == 1
    again = await company.run(people("ann", role="hr"))
    assert again.counts.unchanged == 1


async def test_a_blank_cell_clears_and_role_and_language_fall_back_to_their_defaults(company: Company) -> None:
    optional = {
        "job_title": "Baker",
        "role": "hr",
        "location": "Oslo",
        "primary_team": "Ops",
        "secondary_team": "Care",
    }
    optional |= {"language": "de", "time_zone": "London", "hire_date": "2020-01-01"}
    await company.run(people("ann", **optional))
    await company.run(people("ann", **dict.fromkeys(optional, "")))
    user = (await company.users())["ann@example.com"]
    assert {name: user[name] for name in optional} == {
        **dict.fromkeys(optional),
        "role": "learner",
        "language": "en",
        "secondary_team": [],
    }


async def test_a_blank_cell_changes_nothing_with_the_setting_keep(company: Company) -> None:
    await company.run(people("ann", job_title="Baker", role="hr"))
    outcome = await company.run(people("ann", job_title="", role=""), blank_cells="keep")
    user = (await company.users())["ann@example.com"]
    assert (user["job_title"], user["role"]) == ("Baker", "hr")
    assert outcome.state is ImportState.UNCHANGED


async def test_a_returning_user_keeps_record_and_history(company: Company) -> None:
    await company.run(people("ann", "ben"))
    (before,) = await company.sql("SELECT id FROM users WHERE email_key = 'ann@example.com'")
    left = await company.run(people("ann", deactivate="yes"))
    assert (left.counts.deactivated, left.counts.deactivated_absent, left.active) == (1, 0, 1)
    assert (await company.users())["ann@example.com"]["state"] == "deactivated"
    history = await company.sql("SELECT * FROM changes ORDER BY id")
    back = await company.run(people("ann", deactivate=""))
    assert (back.counts.reactivated, back.active) == (1, 2)
    assert history
    assert (await company.sql("SELECT * FROM changes ORDER BY id"))[: len(history)] == history
    assert await company.sql("SELECT id FROM users WHERE email_key = 'ann@example.com'") == [before]
    of_ann = "? BETWEEN user_id - more AND user_id"
    history = await company.sql(f"SELECT DISTINCT import_id FROM changes WHERE {of_ann} ORDER BY 1", before)
    assert history == [(1,), (2,), (3,)]


async def test_a_returning_user_stays_deactivated_where_the_settings_say_so(company: Company) -> None:
    await company.run(people("ann", "ben"))
    await company.run(people("ann", deactivate="1"))
    for _ in range(2):
        outcome = await company.run(people("ann", job_title="Boss"), reactivate_returning=False)
        assert (outcome.counts.unchanged, codes(outcome)) == (1, ["not_reactivated"])
    user = (await company.users())["ann@example.com"]
    assert (user["state"], user["job_title"]) == ("deactivated", None)


async def test_the_cells_of_a_user_who_stays_deactivated_give_no_messages(company: Company) -> None:
    await company.run(people("ann", "ben"))
    await company.run(people("ann", deactivate="1"))
    outcome = await company.run(people("ann", "ben", job_title="NULL"), reactivate_returning=False)
    assert codes(outcome) == ["placeholder", "not_reactivated"]
    assert "1 cell holds “NULL” (line 3)" in outcome.messages[0].message


async def test_a_leaver_is_deactivated_even_if_other_cells_are_wrong(company: Company) -> None:
    await company.run(people("ann", "ben", hire_date="2020-01-01", job_title="Baker"))
    content = people("ann", "ben", hire_date="yesterday", job_title="Boss", deactivate="1")
    outcome = await company.run(content, max_deactivations_percent=100)
    user = (await company.users())["ann@example.com"]
    assert (user["state"], user["hire_date"], user["job_title"]) == ("deactivated", "2020-01-01", "Boss")
    assert codes(outcome) == ["bad_date", "bad_date"]
    assert (outcome.counts.deactivated, outcome.counts.warnings, outcome.counts.rejected) == (2, 2, 0)


async def test_an_unknown_leaver_is_not_created(company: Company) -> None:
    await company.run(people("ann"))
    outcome = await company.run(people("zoe", deactivate="1"), detect_truncation=False)
    assert (outcome.counts.ignored, outcome.counts.created) == (1, 0)
    assert codes(outcome) == ["deactivate_unknown"]
    assert "zoe@example.com" not in await company.users()


async def test_a_rejected_row_leaves_its_user_unchanged_and_counts_as_present(company: Company) -> None:
    await company.run(people("ann", "ben", "cleo", hire_date="2020-01-01"))
    rows = [("Ann", "Smith", "ann@example.com", "soon"), ("Ben", "Smith", "ben@example.com", "2020-01-01")]
    content = sheet(*rows, header=(*HEADER, "hire_date"))
    outcome = await company.run(content, deactivate_missing=True, detect_truncation=False)
    users = await company.users()
    assert outcome.state is ImportState.COMPLETED_WITH_ERRORS
    assert (outcome.counts.rejected, outcome.counts.deactivated_absent) == (1, 1)
    assert [users[f"{name}@example.com"]["state"] for name in ("ann", "ben", "cleo")] == [
        "active",
        "active",
        "deactivated",
    ]


async def test_all_problems_of_a_row_are_reported_at_once(company: Company) -> None:
    header = (*HEADER, "role", "hire_date")
    content = sheet(
        ("Ann", "", "ann@example.com", "king", "soon"), ("Ben", "B", "ben@example.com", "", ""), header=header
    )
    outcome = await company.run(content)
    assert {problem.column for problem in outcome.messages} == {"last_name", "role", "hire_date"}
    assert {problem.line for problem in outcome.messages} == {2}


async def test_rejected_rows_are_reported_in_the_order_of_the_file(company: Company) -> None:
    await company.run(people("ben", "dora"))
    outcome = await company.run(people("ann", "ben", "cleo", "dora", hire_date="soon") + b"Eve,E,eve@example.com,\n")
    assert [problem.line for problem in outcome.messages] == [2, 3, 4, 5]
    lines = company.errors_csv().decode("utf-8-sig").splitlines()[1:]
    assert [line.split(",")[0] for line in lines] == ["2", "3", "4", "5"]


@pytest.mark.parametrize("known", [True, False])
async def test_the_first_of_two_rows_with_one_identifier_counts(company: Company, known: bool) -> None:
    await company.run(people("ann" if known else "zoe"))
    rows = [("Ann", "First", "ann@example.com"), ("Ann", "Second", "Ann@Example.com")]
    outcome = await company.run(sheet(*rows), detect_truncation=False)
    assert outcome.counts.rejected == 1
    (problem,) = outcome.messages
    assert (problem.code, problem.line) == ("duplicate_identifier", 3)
    assert "ine 2" in problem.message
    assert (await company.users())["ann@example.com"]["last_name"] == "First"


@pytest.mark.parametrize("batch_rows", [1, 2, 2000])
async def test_the_first_row_counts_even_if_a_later_one_is_the_unchanged_row(tmp_path: Path, batch_rows: int) -> None:
    company = company_in(tmp_path, batch_rows)
    await company.run(people("ann", "ben"))
    rows = [
        ("Ann", "New", "ann@example.com"),
        ("Ann", "Smith", "ann@example.com"),
        ("Ben", "Smith", "ben@example.com"),
    ]
    outcome = await company.run(sheet(*rows))
    (problem,) = outcome.messages
    assert (problem.code, problem.line) == ("duplicate_identifier", 3)
    assert outcome.counts.rows == 3
    assert (await company.users())["ann@example.com"]["last_name"] == "New"


async def test_a_rejected_first_row_still_makes_the_second_a_duplicate(company: Company) -> None:
    await company.run(people("ben"))
    first = ("Ann", "", "ann@example.com", "")
    second = ("Ann", "Smith", "ann@example.com", "")
    ben = ("Ben", "Smith", "ben@example.com", "")
    outcome = await company.run(sheet(first, second, ben, header=(*HEADER, "deactivate")))
    assert codes(outcome)[-1] == "duplicate_identifier"
    assert "ann@example.com" not in await company.users()


async def test_a_duplicate_names_the_first_line_also_across_batches(tmp_path: Path) -> None:
    company = company_in(tmp_path, batch_rows=2)
    rows = [("", "Smith", "ann@example.com")] * 3 + [("Ben", "Smith", "ben@example.com")]
    outcome = await company.run(sheet(*rows))
    said = [problem.message for problem in outcome.messages if problem.code == "duplicate_identifier"]
    assert [message.rsplit(".", 2)[0] for message in said] == ["This row says the same as line 2"] * 2


@pytest.mark.parametrize("address", ["", "not an address"])
async def test_no_user_is_absent_while_a_row_does_not_identify_its_user(company: Company, address: str) -> None:
    await company.run(people("ann", "ben"))
    rows = [("Ann", "Smith", "ann@example.com"), ("Ben", "Smith", address)]
    outcome = await company.run(sheet(*rows), deactivate_missing=True)
    assert outcome.counts.deactivated == 0
    assert "absent_not_deactivated" in codes(outcome)
    assert (await company.users())["ben@example.com"]["state"] == "active"


async def test_absent_users_stay_active_unless_deactivate_missing_is_on(company: Company) -> None:
    await company.run(people("ann", "ben"))
    outcome = await company.run(people("ann"))
    assert outcome.counts.deactivated == 0
    assert (await company.users())["ben@example.com"]["state"] == "active"


async def test_absent_users_are_deactivated_if_deactivate_missing_is_on(company: Company) -> None:
    await company.run(people("ann", "ben", "cleo"))
    outcome = await company.run(people("ann", "cleo"), deactivate_missing=True, detect_truncation=False)
    assert (outcome.counts.deactivated, outcome.counts.deactivated_absent) == (1, 1)
    assert outcome.counts.rows == outcome.file.rows == 2
    assert (await company.users())["ben@example.com"]["state"] == "deactivated"


async def test_a_protected_user_is_never_deactivated(company: Company) -> None:
    await company.run(people("ann", "ben", "cleo"))
    await company.sql("UPDATE users SET protected = true WHERE email_key <> 'ann@example.com'")
    rows = [("Ann", "Smith", "ann@example.com", ""), ("Ben", "New", "ben@example.com", "1")]
    content = sheet(*rows, header=(*HEADER, "deactivate"))
    outcome = await company.run(content, deactivate_missing=True)
    users = await company.users()
    assert outcome.counts.deactivated == 0
    assert codes(outcome).count("protected_user") == 2
    assert (users["ben@example.com"]["state"], users["ben@example.com"]["last_name"]) == ("active", "New")
    assert users["cleo@example.com"]["state"] == "active"


@pytest.mark.parametrize(
    ("rows", "returning", "expected", "said"),
    [
        ([("Ben", "New", "ben@example.com", "1")], True, ("deactivated", "New"), []),
        ([("Ben", "New", "ben@example.com", "")], True, ("active", "New"), []),
        ([("Ben", "New", "ben@example.com", "")], False, ("deactivated", "Smith"), ["not_reactivated"]),
        ([], True, ("deactivated", "Smith"), []),
    ],
    ids=["leaver", "returning", "returning, but not wanted", "absent"],
)
async def test_protection_alone_does_not_reactivate_a_user(
    company: Company, rows: list[tuple[str, ...]], returning: bool, expected: tuple[str, str], said: list[str]
) -> None:
    await company.run(people("ann", "ben"))
    await company.sql("UPDATE users SET protected = true, state = 'deactivated' WHERE email_key = 'ben@example.com'")
    content = sheet(*rows, ("Ann", "Smith", "ann@example.com", ""), header=(*HEADER, "deactivate"))
    settings = {"deactivate_missing": True, "detect_truncation": False, "reactivate_returning": returning}
    for _ in range(2):
        outcome = await company.run(content, **settings)
        user = (await company.users())["ben@example.com"]
        assert ((user["state"], user["last_name"]), codes(outcome)) == (expected, said)
        assert outcome.counts.deactivated == 0
        assert outcome.active == (2 if expected[0] == "active" else 1)


async def test_a_file_in_which_every_row_is_rejected_fails_and_changes_nothing(company: Company) -> None:
    await company.run(people("ann"))
    outcome = await company.run(people("ben", "cleo", hire_date="soon", primary_team="New"), deactivate_missing=True)
    assert (outcome.state, outcome.counts.rejected) == (ImportState.FAILED, 2)
    assert outcome.counts.changed == 0, "a failed import must not report a deactivated user"
    assert codes(outcome)[0] == "every_row_rejected"
    assert await company.sql("SELECT count(*) FROM teams") == [(0,)]
    assert (await company.users())["ann@example.com"]["state"] == "active"


async def test_a_file_that_fails_halfway_changes_nothing(company: Company) -> None:
    rows = b"".join(b"P,Smith,p%d@example.com\n" % number for number in range(5000))
    content = b"first_name,last_name,email\n" + rows + b'P,"Smith,p@example.com\n'
    outcome = await company.run(content)
    assert (outcome.state, outcome.file.rows) == (ImportState.FAILED, None)
    assert outcome.message is not None
    assert "5002" in outcome.message
    assert outcome.file.sha256 == hashlib.sha256(content).hexdigest()
    assert await company.users() == {}


async def test_the_reported_checksum_covers_all_bytes_of_the_file(company: Company) -> None:
    content = people("ann")
    assert (await company.run(content)).file.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"first_name,last_name,email\n", 1), (b'first_name,last_name,email\nA,B,a@b.c\nA,"B"x,c@b.c\n', 3)],
)
async def test_the_reason_of_a_failure_names_its_line_once(company: Company, content: bytes, line: int) -> None:
    outcome = await company.run(content)
    assert (outcome.state, (outcome.message or "").lower().count(f"line {line}")) == (ImportState.FAILED, 1)


async def test_a_last_row_without_a_line_end_is_not_applied_and_its_user_counts_as_present(company: Company) -> None:
    await company.run(people("ann", "ben"))
    content = sheet(("Ann", "New", "ann@example.com"), ("Ben", "New", "ben@example.com")).rstrip(b"\n")
    outcome = await company.run(content, deactivate_missing=True)
    users = await company.users()
    assert (outcome.counts.rejected, outcome.counts.updated, outcome.counts.deactivated) == (1, 1, 0)
    assert "unfinished_last_row" in codes(outcome)
    assert (users["ben@example.com"]["last_name"], users["ben@example.com"]["state"]) == ("Smith", "active")


UP_TO_A_BORDER = pytest.mark.parametrize("rows", [2, 3, 4, 5])
"""Files that end in the middle of a batch of two rows, and with one."""


@UP_TO_A_BORDER
@pytest.mark.parametrize("known", [False, True])
async def test_only_the_row_without_a_line_end_is_unfinished_whatever_its_batch(
    tmp_path: Path, rows: int, known: bool
) -> None:
    company = company_in(tmp_path, batch_rows=2)
    content = people(*TEN[:rows])
    if known:
        await company.run(content, deactivate_missing=True)
    outcome = await company.run(content.rstrip(b"\n"), deactivate_missing=True)
    counts = outcome.counts
    (unfinished,) = [problem for problem in outcome.messages if problem.code == "unfinished_last_row"]
    assert (unfinished.line, counts.rejected, counts.deactivated) == (rows + 1, 1, 0)
    assert (counts.unchanged if known else counts.created) == rows - 1
    assert outcome.active == (rows if known else rows - 1)


@UP_TO_A_BORDER
async def test_a_file_cut_within_its_last_row_changes_nothing_whatever_its_batch(tmp_path: Path, rows: int) -> None:
    company = company_in(tmp_path, batch_rows=2)
    outcome = await company.run(people(*TEN[:rows])[: -len("example.com\n,Smith") - len(TEN[0])])
    assert outcome.state is ImportState.FAILED
    assert f"ine {rows + 1}" in (outcome.message or "")
    assert await company.users() == {}


@UP_TO_A_BORDER
@pytest.mark.parametrize("end", [b"\n,,", b"\n\n"])
async def test_a_blank_last_line_leaves_the_row_before_it_whole_whatever_its_batch(
    tmp_path: Path, rows: int, end: bytes
) -> None:
    company = company_in(tmp_path, batch_rows=2)
    outcome = await company.run(people(*TEN[:rows]).rstrip(b"\n") + end)
    assert (outcome.counts.created, outcome.counts.rejected) == (rows, 0)


async def test_a_cut_address_deactivates_no_user_even_without_detect_truncation(company: Company) -> None:
    content = people("ann", "ben")
    await company.run(content)
    outcome = await company.run(content[:-2], deactivate_missing=True, detect_truncation=False)
    assert codes(outcome) == ["absent_not_deactivated", "unfinished_last_row"]
    assert (await company.users())["ben@example.com"]["state"] == "active"


@UP_TO_A_BORDER
async def test_a_last_row_without_a_line_end_is_applied_where_the_settings_allow_it(
    tmp_path: Path, rows: int
) -> None:
    company = company_in(tmp_path, batch_rows=2)
    content = people(*TEN[:rows]).rstrip(b"\n")
    outcome = await company.run(content, require_final_newline=False)
    assert (outcome.counts.created, outcome.counts.warnings) == (rows, 0)
    again = await company.run(content, require_final_newline=False)
    assert (again.state, again.counts.unchanged) == (ImportState.UNCHANGED, rows)


async def test_messages_about_the_header_and_the_file_are_reported_once(company: Company) -> None:
    outcome = await company.run(b"First_Name,last_name,email,shoe\nAnn,Smith,ann@example.com,40\n,,,\n")
    assert sorted(codes(outcome)) == ["blank_lines", "header_spelling", "unknown_column"]
    assert outcome.counts.warnings == 2


# Batches, and rows known by their text.


@pytest.mark.parametrize("batch_rows", [1, 3, 2000])
async def test_the_same_rows_in_reverse_order_are_unchanged_and_no_user_is_absent(
    tmp_path: Path, batch_rows: int
) -> None:
    company = company_in(tmp_path, batch_rows)
    settings = {"deactivate_missing": True, "max_deactivations_percent": 100}
    await company.run(people(*TEN), **settings)
    before = await company.sql("SELECT * FROM users")
    outcome = await company.run(people(*reversed(TEN)), **settings)
    assert (outcome.state, outcome.counts.unchanged, codes(outcome)) == (ImportState.UNCHANGED, 10, [])
    assert await company.sql("SELECT * FROM users") == before


@pytest.mark.parametrize("batch_rows", [1, 3, 2000])
async def test_the_same_file_again_writes_no_user_though_managers_come_later(tmp_path: Path, batch_rows: int) -> None:
    company = company_in(tmp_path, batch_rows)
    rows = [
        (name.title(), "S", f"{name}@example.com", f"{boss}@example.com" if boss else "")
        for name, boss in zip(TEN, [*TEN[1:], ""], strict=True)
    ]
    content = sheet(*rows, header=(*HEADER, "manager"))
    assert codes(await company.run(content)) == []
    before = await company.sql("SELECT * FROM users")
    assert (await company.run(content)).state is ImportState.UNCHANGED
    assert await company.sql("SELECT * FROM users") == before


@pytest.mark.parametrize("batch_rows", [1, 2000])
async def test_a_wrong_link_of_a_new_user_is_reported_each_time(tmp_path: Path, batch_rows: int) -> None:
    company = company_in(tmp_path, batch_rows)
    rows = [("Ann", "S", "ann@e.com", "ben@e.com", "ann@e.com"), ("Ben", "S", "ben@e.com", "", "")]
    content = sheet(*rows, header=(*HEADER, "manager", "coach"))
    for _ in range(2):
        assert codes(await company.run(content)) == ["link_to_oneself"]
    assert (await company.users())["ann@e.com"]["manager"] == "ben@e.com"


async def test_new_users_without_wrong_cells_are_created_column_by_column(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first import is fast only with this, and no other test would notice."""
    by_column, by_row = [], []

    def watched(sheet: Sheet, apart: Collection[str], counted: Doubts) -> tuple[Newcomers, list[int]]:
        newcomers, others = part(sheet, apart, counted)
        by_column.append(len(newcomers.lines))
        by_row.append(len(others))
        return newcomers, others

    monkeypatch.setattr(reconcile, "part", watched)
    rows = [(f"P{number}", "Smith", f"p{number}@example.com", "2020-01-01") for number in range(100)]
    header = (*HEADER, "hire_date")
    assert (await company.run(sheet(*rows, header=header), dry_run=True)).counts.created == len(rows)
    rows[50] = (*rows[50][:3], "soon")
    assert (await company.run(sheet(*rows, header=header))).counts.created == len(rows) - 1
    assert (sum(by_column), sum(by_row)) == (199, 1)


@pytest.mark.only_on("sqlite", "no other engine drops indexes for an import")
@pytest.mark.parametrize("email", ["ann@example.com", "no address"])
@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_first_import_leaves_every_index_as_it_was(company: Company, email: str, dry_run: bool) -> None:
    indexes = "SELECT name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name"
    before = await company.sql(indexes)
    await company.run(sheet(("Ann", "Smith", email)), dry_run=dry_run)
    assert await company.sql(indexes) == before


async def test_a_new_order_of_columns_makes_every_row_be_checked_again(company: Company) -> None:
    await company.run(sheet(("Ann", "Smith", "ann@example.com")))
    outcome = await company.run(
        sheet(("Ann", "Smith", "ann@example.com"), header=("last_name", "first_name", "email"))
    )
    user = (await company.users())["ann@example.com"]
    assert (outcome.counts.updated, user["first_name"], user["last_name"]) == (1, "Smith", "Ann")


@pytest.mark.parametrize("changed", [0, 1], ids=["none changed", "every third row changed"])
async def test_known_rows_are_not_checked_however_long_the_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: int
) -> None:
    """Most imports are fast only with this, and no other test would notice."""
    company = company_in(tmp_path, batch_rows=3)
    rows = [("P", "Smith", f"p{number}@example.com") for number in range(90)]
    await company.run(sheet(*rows), blank_cells="keep")
    await company.run(sheet(*rows))  # other settings: unchanged, and recorded again
    looked_at: list[str] = []

    def watched(self: RowChecker, table: Sequence[Sequence[str]]) -> CheckedColumns:
        looked_at.extend(cells[2] for cells in table)
        return check(self, table)

    def watched_key(self: RowChecker, cells: Sequence[str]) -> str | None:
        looked_at.append(cells[2])
        return key(self, cells)

    check, key = RowChecker.check_columns, RowChecker.key
    monkeypatch.setattr(RowChecker, "check_columns", watched)
    monkeypatch.setattr(RowChecker, "key", watched_key)
    news = [("New", "Smith", rows[number][2]) for number in range(0, 90, 3)] if changed else []
    rows[::3] = news or rows[::3]
    outcome = await company.run(sheet(*rows))
    assert (outcome.counts.updated, outcome.counts.unchanged) == (len(news), 90 - len(news))
    # The first 1024 bytes of a file and its last line always are.
    ours = [address for address in looked_at if 45 <= int(address[1:].partition("@")[0]) < 89]
    assert ours == [address for _, _, address in news[15:]]


# Changes by others in the database.


async def test_the_next_import_corrects_what_was_changed_in_the_database(company: Company) -> None:
    content = people("ann", "ben", primary_team="Ops", job_title="Baker")
    await company.run(content)
    await company.sql("UPDATE users SET job_title = 'Hacker' WHERE email_key = 'ann@example.com'")
    await company.sql("UPDATE users SET state = 'deactivated' WHERE email_key = 'ben@example.com'")
    outcome = await company.run(content)
    users = await company.users()
    assert (outcome.counts.updated, outcome.counts.reactivated) == (1, 1)
    assert users["ann@example.com"]["job_title"] == "Baker"


async def test_a_team_removed_by_hand_is_created_again(company: Company) -> None:
    content = people("ann", primary_team="Ops")
    await company.run(content)
    await company.sql("DELETE FROM teams")
    outcome = await company.run(content)
    assert outcome.counts.teams_created == 1
    assert (await company.users())["ann@example.com"]["primary_team"] == "Ops"


async def test_a_team_removed_by_hand_has_no_users_any_more(company: Company) -> None:
    content = people("ann", secondary_team="Care,Sales,Ops")
    await company.run(content)
    await company.sql("DELETE FROM teams WHERE key IN ('care', 'sales')")
    await company.run(people("ben", primary_team="New"))  # may get the free id
    ann = (await company.users())["ann@example.com"]
    assert (ann["primary_team"], ann["secondary_team"]) == (None, ["Ops"])
    await company.run(content)
    ann = (await company.users())["ann@example.com"]
    assert (ann["primary_team"], ann["secondary_team"]) == ("Care", ["Sales", "Ops"])


async def test_custom_values_rewritten_by_hand_in_another_notation_are_unchanged(company: Company) -> None:
    fields = [{"key": "desk"}, {"key": "floor", "type": "number"}]
    content = people("ann", desk="D1", floor="2")
    await company.run(content, custom_fields=fields)
    await company.sql("""UPDATE users SET custom = '{"floor":2,"desk":"D1"}'""")
    outcome = await company.run(content, custom_fields=fields)
    assert (outcome.state, outcome.counts.unchanged) == (ImportState.UNCHANGED, 1)
    assert await company.sql("SELECT count(*) FROM changes WHERE import_id = 2") == [(0,)]


async def test_other_settings_make_every_row_be_checked_again(company: Company) -> None:
    content = people("ann", job_title="")
    await company.run(people("ann", job_title="Baker"))
    await company.run(content, blank_cells="keep")
    outcome = await company.run(content)
    assert outcome.counts.updated == 1
    assert (await company.users())["ann@example.com"]["job_title"] is None


# Teams.


@pytest.mark.parametrize("batch_rows", [1, 50])
async def test_new_teams_get_their_ids_in_the_order_of_the_file(tmp_path: Path, batch_rows: int) -> None:
    company = company_in(tmp_path, batch_rows=batch_rows)
    teams = ("Ops", "Care", "Sales", "CARE")
    rows = [("Ann", "Lee", f"ann{number}@x.org", team) for number, team in enumerate(teams)]
    await company.run(sheet(*rows, header=(*HEADER, "primary_team")))
    assert await company.sql("SELECT id, name FROM teams ORDER BY id") == [(1, "Ops"), (2, "Care"), (3, "Sales")]


async def test_teams_and_locations_are_matched_without_case_and_the_first_spelling_stays(company: Company) -> None:
    await company.run(people("ann", primary_team="Straße", location="OSLO"))
    outcome = await company.run(people("ben", primary_team="STRASSE", location="Oslo"))
    user = (await company.users())["ben@example.com"]
    assert (user["primary_team"], user["location"]) == ("Straße", "OSLO")
    assert (outcome.counts.teams_created, outcome.counts.locations_created) == (0, 0)


@pytest.mark.parametrize(
    ("primary", "secondary", "expected"),
    [
        ("Ops", "Tech\\, London, Sales", ("Ops", ["Tech, London", "Sales"])),
        ("", "Sales, Ops", ("Sales", ["Ops"])),
        ("ops", " a , A ,Ops,,", ("ops", ["a"])),
        ("Ops", "", ("Ops", [])),
        ("", "", (None, [])),
    ],
)
async def test_teams_of_a_row_have_one_primary_and_no_duplicates(
    company: Company, primary: str, secondary: str, expected: tuple[str, list[str]]
) -> None:
    content = people("ann", primary_team=primary, secondary_team=secondary)
    await company.run(content)
    user = (await company.users())["ann@example.com"]
    assert (user["primary_team"], user["secondary_team"]) == expected
    assert (await company.run(content)).state is ImportState.UNCHANGED


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"secondary_team": "Care,Ops"}, ("Ops", ["Care"])),
        ({"secondary_team": ""}, ("Ops", [])),
        ({"primary_team": "Sales"}, ("Sales", ["Tech"])),
        ({"primary_team": "Care"}, ("Care", ["Sales", "Tech"])),
        ({"primary_team": "", "secondary_team": "Care,Sales"}, ("Care", ["Sales"])),
    ],
)
async def test_a_team_column_that_is_not_in_the_file_leaves_those_teams(
    company: Company, columns: dict[str, str], expected: tuple[str, list[str]]
) -> None:
    await company.run(people("ann", primary_team="Ops", secondary_team="Sales,Tech"))
    await company.run(people("ann", **columns))
    user = (await company.users())["ann@example.com"]
    assert (user["primary_team"], user["secondary_team"]) == expected


@pytest.mark.parametrize(
    "rows",
    [
        [("ann", "Ops", ""), ("new", "OPS", "")],
        [("one", "Ops", ""), ("two", "OPS", ""), ("ann", "Ops", "")],
        [("one", "Ops", ""), ("two", "OPS", ""), ("new", "Ops", "")],
        [("one", "Ops", ""), ("two", "OPS", ""), ("new", "Sales", "Ops")],
        [("one", "Sales", "Ops"), ("ann", "OPS", ""), ("new", "Ops", "")],
    ],
    ids=["known before new", "new before known", "new ones", "as the second team too", "as the second team first"],
)
async def test_the_spelling_on_the_first_row_of_a_file_is_kept(
    company: Company, rows: list[tuple[str, str, str]]
) -> None:
    await company.run(people("ann"))
    content = [("P", "Smith", f"{name}@example.com", *teams) for name, *teams in rows]
    await company.run(sheet(*content, header=(*HEADER, "primary_team", "secondary_team")))
    assert await company.sql("SELECT name FROM teams WHERE key = 'ops'") == [("Ops",)]


async def test_a_rejected_row_creates_no_team(company: Company) -> None:
    rows = [("Ann", "", "ann@example.com", "Ghosts"), ("Ben", "B", "ben@example.com", "Ops")]
    outcome = await company.run(sheet(*rows, header=(*HEADER, "primary_team")))
    assert outcome.counts.teams_created == 1
    assert await company.sql("SELECT name FROM teams") == [("Ops",)]


@pytest.mark.only_on("sqlite", "no other engine has checkpoints that a reader could hold up")
async def test_an_import_is_written_to_users_db_though_another_process_reads(company: Company) -> None:
    database = await open_database(company.database, "tenant")
    try:
        await database.execute_fetchall("SELECT count(*) FROM users")
        await company.run(people("ann"))
        await eventually(lambda: b"ann@example.com" in company.database.read_bytes())
    finally:
        await database.close()
