"""An import skips rows that it knows by the previous file, and checks them when it cannot rely on that."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from importer.reconcile.before import can_be_compared
from importer.rules.rows import CheckedColumns, RowChecker
from tests.support.importing import SMALL, Company, sheet
from tests.support.installation import company_in

PEOPLE = [(f"P{number}", "Smith", f"p{number}@example.com", "Baker") for number in range(80)]
HEADER = ("first_name", "last_name", "email", "job_title")
ALL = len(PEOPLE)


def people(**titles: str) -> bytes:
    return sheet(*[(*row[:3], titles.get(row[0], row[3])) for row in PEOPLE], header=HEADER)


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return company_in(tmp_path)


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the addresses of the rows that were checked, in their order."""
    found: list[str] = []
    check, key = RowChecker.check_columns, RowChecker.key

    def watched(self: RowChecker, rows: Sequence[Sequence[str]]) -> CheckedColumns:
        found.extend(cells[2] for cells in rows)
        return check(self, rows)

    def watched_key(self: RowChecker, cells: Sequence[str]) -> str | None:
        found.append(cells[2])
        return key(self, cells)

    monkeypatch.setattr(RowChecker, "check_columns", watched)
    monkeypatch.setattr(RowChecker, "key", watched_key)
    return found


async def test_rows_of_the_previous_file_are_not_checked_again(company: Company, looked_at: list[str]) -> None:
    await company.run(people())
    looked_at.clear()
    outcome = await company.run(people(P70="Boss"))
    assert (outcome.counts.updated, outcome.counts.unchanged) == (1, ALL - 1)
    # The beginning of a file and its last line always are.
    assert "p70@example.com" in looked_at
    assert len(looked_at) < ALL / 2


async def test_times_that_a_client_sets_do_not_matter(company: Company, looked_at: list[str]) -> None:
    await company.run(people())
    os.utime(company.copy(1), (1, 1))
    looked_at.clear()
    await company.run(people())
    assert len(looked_at) < ALL / 2


async def test_a_file_that_loses_its_name_while_it_is_read_is_applied(company: Company) -> None:
    def lose() -> bool:
        company.copy(1).unlink(missing_ok=True)
        return False

    assert (await company.run(people(), stopping=lose)).counts.created == ALL
    assert (await company.run(people())).counts.unchanged == ALL


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def overwrite(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"P70,Smith", b"P70,Smyth"))


@pytest.mark.parametrize("spoil", [Path.unlink, cut, overwrite])
async def test_a_changed_copy_of_the_previous_file_is_not_used(
    company: Company, looked_at: list[str], spoil: Callable[[Path], None]
) -> None:
    await company.run(people())
    spoil(company.copy(1))
    os.utime(company.copy(1), (1, 1)) if company.copy(1).exists() else None
    looked_at.clear()
    outcome = await company.run(people(P70="Boss"))
    assert (outcome.counts.updated, outcome.counts.unchanged) == (1, ALL - 1)
    assert len(looked_at) == ALL


async def test_the_row_of_a_user_changed_by_hand_is_checked_again(company: Company) -> None:
    await company.run(people())
    await company.sql("UPDATE users SET job_title = 'Boss' WHERE email = 'p70@example.com'")
    outcome = await company.run(people())
    assert (outcome.counts.updated, outcome.counts.unchanged) == (1, ALL - 1)
    assert (await company.users())["p70@example.com"]["job_title"] == "Baker"


async def test_the_row_of_a_user_that_a_correction_changed_is_checked_again(company: Company) -> None:
    await company.run(people())
    await company.run(sheet(("P70", "Smith", "p70@example.com", "Boss", "x"), header=(*HEADER, "_code")))
    outcome = await company.run(people())
    assert (outcome.counts.updated, outcome.counts.unchanged) == (1, ALL - 1)


async def test_every_row_is_checked_again_after_an_undo(company: Company) -> None:
    await company.run(people())
    await company.run(people(P70="Boss"))
    await company.undo()
    outcome = await company.run(people(P70="Boss"))
    assert (outcome.counts.updated, outcome.counts.unchanged) == (1, ALL - 1)


async def test_the_same_bytes_in_another_encoding_are_read_again(company: Company) -> None:
    rows = [(first, "Müller", *rest) for first, _, *rest in PEOPLE]
    await company.run(b"\xef\xbb\xbf" + sheet(*rows, header=HEADER), encoding="cp1252")
    assert (await company.run(sheet(*rows, header=HEADER), encoding="cp1252")).counts.updated == ALL


@pytest.mark.parametrize("at", [2500, 1500, 30])
@pytest.mark.parametrize("fault", [b'"', b"\0", b"\xff", b"\r"], ids=["quote", "NUL", "no UTF-8", "lone CR"])
async def test_an_error_is_reported_as_if_the_file_were_read_alone(tmp_path: Path, at: int, fault: bytes) -> None:
    content = people(P70="Boss")
    at = content.index(b"Smith", at) + 2
    content = content[:at] + fault + content[at:]
    said = []
    for name, alone in (("beside", False), ("alone", True)):
        (tmp_path / name).mkdir()
        company = company_in(tmp_path / name)
        await company.run(people())
        if alone:
            company.pieces = None
        outcome = await company.run(content)
        said.append((outcome.to_json(), (company.messages / "2.jsonl").read_bytes()))
    assert said[0] == said[1]
    assert said[0][0]["state"] == "failed"


async def test_an_earlier_row_makes_a_known_row_the_duplicate(company: Company) -> None:
    await company.run(people())
    rows = [(*PEOPLE[0][:3], "Boss"), *PEOPLE]
    rows[0], rows[1] = ("P70", "Smith", "p70@example.com", "Boss"), rows[1]
    outcome = await company.run(sheet(*rows, header=HEADER))
    (error,) = [each for each in outcome.messages if each.severity == "error"]
    assert (outcome.counts.updated, outcome.counts.rejected, outcome.counts.unchanged) == (1, 1, ALL - 1)
    assert (error.code, error.line) == ("duplicate_identifier", 73)


async def test_a_row_of_two_lines_is_checked_each_time(company: Company) -> None:
    content = people(P70="Baker\nand cook")
    await company.run(content)
    changed = content.replace(b"and cook", b"and boss")
    outcome = await company.run(changed)
    assert (outcome.counts.updated, outcome.counts.unchanged) == (1, ALL - 1)
    assert (await company.users())["p70@example.com"]["job_title"] == "Baker\nand boss"


TAILS = [
    b"",
    b"\n",
    b"\n\n\n\n",
    b"\x1a",
    b"\x1a\n\n\n",
    b"Total,,,\n\n\n\n",
    b"Total,,,\n",
    b" \n\t\n",
    b",,,\n,,,\n,,,\n",
]


@pytest.mark.parametrize("left_out", [0, 1, 2])
@pytest.mark.parametrize("batch_rows", [1, 2000])
@pytest.mark.parametrize("tail", TAILS)
async def test_the_end_of_a_file_is_judged_as_if_it_were_read_alone(
    tmp_path: Path, tail: bytes, batch_rows: int, left_out: int
) -> None:
    said = []
    for name, pieces in (("beside", SMALL), ("alone", None)):
        (tmp_path / name).mkdir()
        company = company_in(tmp_path / name, batch_rows=batch_rows, pieces=pieces)
        await company.run(people() + b"Report by,Ann,x at y,z\n" * left_out, skip_last_lines=left_out)
        content = people(P70="Boss") + b"Report by,Ann,x at y,z\n" * left_out + tail
        said.append((await company.run(content, skip_last_lines=left_out)).to_json())
    assert said[0] == said[1]


COPIED = "email, email_key, first_name, last_name"
WRONG = "email, email_key, 'Wrong', last_name"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE users SET id = 999 WHERE id = 70",
        *(
            pytest.param(statement, marks=pytest.mark.only_on("sqlite", "no other engine replaces rows in this way"))
            for statement in (
                "UPDATE OR REPLACE users SET id = 47 WHERE id = 70",
                f"INSERT OR REPLACE INTO users (id, {COPIED}) SELECT id, {WRONG} FROM users WHERE id = 70",
                f"INSERT OR REPLACE INTO users ({COPIED}) SELECT {WRONG} FROM users WHERE id = 70",
                "INSERT OR REPLACE INTO teams (id, key, name) VALUES (1, 'other', 'Other')",
                "INSERT OR REPLACE INTO teams (key, name) VALUES ('ops', 'Ops')",
            )
        ),
    ],
)
async def test_the_next_import_corrects_rows_replaced_in_the_database(tmp_path: Path, statement: str) -> None:
    rows = [(*row, "Ops") for row in PEOPLE]
    content = sheet(*rows, header=(*HEADER, "primary_team"))
    said = []
    for name, pieces in (("beside", SMALL), ("alone", None)):
        (tmp_path / name).mkdir()
        company = company_in(tmp_path / name, pieces=pieces)
        await company.run(content)
        await company.sql(statement)
        outcome = await company.run(content, deactivate_missing=False)
        outcome = await company.run(content, deactivate_missing=False)
        said.append((outcome.to_json(), await company.users()))
    assert said[0] == said[1]


async def test_last_days_are_checked_again_when_the_clock_steps_back(company: Company) -> None:
    rows = [(*row, "2026-03-10" if row[0] == "P70" else "") for row in PEOPLE]
    content = sheet(*rows, header=(*HEADER, "leave_date"))
    settings = {"max_deactivations_percent": 100}
    await company.run(content, now=datetime(2026, 3, 1, tzinfo=UTC), **settings)
    for _ in range(2):
        await company.run(content, now=datetime(2026, 3, 20, tzinfo=UTC), **settings)
    outcome = await company.run(content, now=datetime(2026, 3, 5, tzinfo=UTC), **settings)
    assert outcome.counts.reactivated == 1


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252", "latin-1", "cp1250", "iso8859_15", "koi8_r"])
def test_files_in_stateless_encodings_are_compared(encoding: str) -> None:
    assert can_be_compared(encoding)


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "iso2022_jp", "shift_jis", "gb18030", "mac_arabic", "utf-7"]
)
def test_files_in_stateful_encodings_are_not_compared(encoding: str) -> None:
    assert not can_be_compared(encoding)
