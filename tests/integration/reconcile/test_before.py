"""What an import knows by the file before it, and when it does not rely on that."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from importer.rules.rows import CheckedColumns, RowChecker
from tests.support.importing import Company, sheet

PEOPLE = [(f"P{number}", "Smith", f"p{number}@example.com", "Baker") for number in range(80)]
HEADER = ("first_name", "last_name", "email", "job_title")
ALL = len(PEOPLE)


def people(**titles: str) -> bytes:
    return sheet(*[(*row[:3], titles.get(row[0], row[3])) for row in PEOPLE], header=HEADER)


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path)


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses of the rows that were taken apart, in their order."""
    found: list[str] = []
    check = RowChecker.check_columns

    def watched(self: RowChecker, rows: Sequence[Sequence[str]]) -> CheckedColumns:
        found.extend(cells[2] for cells in rows)
        return check(self, rows)

    monkeypatch.setattr(RowChecker, "check_columns", watched)
    return found


async def test_rows_that_stood_in_the_file_before_are_not_looked_at(company: Company, looked_at: list[str]) -> None:
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
async def test_a_copy_that_is_not_what_was_applied_tells_nothing(
    company: Company, looked_at: list[str], spoil: Callable[[Path], None]
) -> None:
    await company.run(people())
    spoil(company.copy(1))
    os.utime(company.copy(1), (1, 1)) if company.copy(1).exists() else None
    looked_at.clear()
    outcome = await company.run(people(P70="Boss"))
    assert (outcome.counts.updated, outcome.counts.unchanged) == (1, ALL - 1)
    assert len(looked_at) == ALL


async def test_a_user_who_is_changed_by_hand_is_looked_at_again(company: Company) -> None:
    await company.run(people())
    await company.sql("UPDATE users SET job_title = 'Boss' WHERE email = 'p70@example.com'")
    outcome = await company.run(people())
    assert (outcome.counts.updated, outcome.counts.unchanged) == (1, ALL - 1)
    assert (await company.users())["p70@example.com"]["job_title"] == "Baker"


async def test_a_user_whom_a_correction_changes_is_looked_at_again(company: Company) -> None:
    await company.run(people())
    await company.run(sheet(("P70", "Smith", "p70@example.com", "Boss", "x"), header=(*HEADER, "_code")))
    outcome = await company.run(people())
    assert (outcome.counts.updated, outcome.counts.unchanged) == (1, ALL - 1)


async def test_after_an_undo_every_row_is_looked_at_again(company: Company) -> None:
    await company.run(people())
    await company.run(people(P70="Boss"))
    await company.undo()
    outcome = await company.run(people(P70="Boss"))
    assert (outcome.counts.updated, outcome.counts.unchanged) == (1, ALL - 1)


async def test_the_same_bytes_in_another_encoding_are_other_names(company: Company) -> None:
    rows = [(first, "Müller", *rest) for first, _, *rest in PEOPLE]
    await company.run(b"\xef\xbb\xbf" + sheet(*rows, header=HEADER), encoding="cp1252")
    assert (await company.run(sheet(*rows, header=HEADER), encoding="cp1252")).counts.updated == ALL


@pytest.mark.parametrize("at", [2500, 1500, 30])
@pytest.mark.parametrize("fault", [b'"', b"\0", b"\xff", b"\r"], ids=["quote", "NUL", "no UTF-8", "lone CR"])
async def test_a_fault_is_told_as_of_a_file_that_is_read_alone(tmp_path: Path, at: int, fault: bytes) -> None:
    content = people(P70="Boss")
    at = content.index(b"Smith", at) + 2
    content = content[:at] + fault + content[at:]
    said = []
    for name, alone in (("beside", False), ("alone", True)):
        (tmp_path / name).mkdir()
        company = Company(tmp_path / name)
        await company.run(people())
        if alone:
            company.pieces = None
        outcome = await company.run(content)
        said.append((outcome.to_json(), (company.messages / "2.jsonl").read_bytes()))
    assert said[0] == said[1]
    assert said[0][0]["state"] == "failed"


async def test_an_earlier_row_makes_a_known_one_the_duplicate(company: Company) -> None:
    await company.run(people())
    rows = [(*PEOPLE[0][:3], "Boss"), *PEOPLE]
    rows[0], rows[1] = ("P70", "Smith", "p70@example.com", "Boss"), rows[1]
    outcome = await company.run(sheet(*rows, header=HEADER))
    (error,) = [each for each in outcome.messages if each.severity == "error"]
    assert (outcome.counts.updated, outcome.counts.rejected, outcome.counts.unchanged) == (1, 1, ALL - 1)
    assert (error.code, error.line) == ("duplicate_identifier", 73)


async def test_a_row_of_two_lines_is_looked_at_each_time(company: Company) -> None:
    content = people(P70="Baker\nand cook")
    await company.run(content)
    changed = content.replace(b"and cook", b"and boss")
    outcome = await company.run(changed)
    assert (outcome.counts.updated, outcome.counts.unchanged) == (1, ALL - 1)
    assert (await company.users())["p70@example.com"]["job_title"] == "Baker\nand boss"
