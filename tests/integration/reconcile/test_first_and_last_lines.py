"""Lines around the rows of a file: end marks, totals, titles, a repeated header."""

from __future__ import annotations

from pathlib import Path

import pytest

from importer.model import ImportState, Problem
from tests.support.importing import Company, codes, people, sheet
from tests.support.installation import company_in

HEADER = "first_name,last_name,email\n"
THREE = HEADER + "Ann,Smith,ann@example.com\nBo,Smith,bo@example.com\nCy,Smith,cy@example.com\n"
TWO = HEADER + "Ann,Smith,ann@example.com\nCy,Smith,cy@example.com\n"


@pytest.fixture
def acme(tmp_path: Path) -> Company:
    return company_in(tmp_path, batch_rows=2)


async def active(company: Company) -> list[str]:
    return [email.partition("@")[0] for email, user in (await company.users()).items() if user["state"] == "active"]


async def test_a_list_that_ends_with_an_end_mark_still_deactivates_absent_users(acme: Company) -> None:
    settings = {"deactivate_missing": True, "max_row_drop_percent": 100}
    assert codes(await acme.run(f"{THREE}\x1a".encode(), **settings)) == ["end_mark"]
    outcome = await acme.run(f"{TWO}\x1a\r\n".encode(), **settings)
    assert (outcome.state, outcome.counts.deactivated_absent, codes(outcome)) == (
        ImportState.COMPLETED,
        1,
        ["end_mark"],
    )
    assert await active(acme) == ["ann", "cy"]


async def test_an_end_mark_right_after_the_last_cell_is_judged_as_a_row_without_a_line_end(acme: Company) -> None:
    said = codes(await acme.run(f"{THREE.strip()}\x1a".encode()))
    assert said == ["end_mark", "unfinished_last_row"]
    assert codes(await acme.run(f"{THREE.strip()}\x1a".encode(), require_final_newline=False)) == ["end_mark"]
    assert await active(acme) == ["ann", "bo", "cy"]


@pytest.mark.parametrize("footer", ["Total,2,", "EOF", "Record count: 2", "TRAILER|2", "Summe,2,", "(2 rows)"])
@pytest.mark.parametrize("end", ["\n", ""])
async def test_a_footer_keeps_no_absent_user_active(acme: Company, footer: str, end: str) -> None:
    settings = {"deactivate_missing": True, "require_final_newline": False}
    await acme.run(THREE.encode(), **settings)
    outcome = await acme.run(f"{TWO}{footer}{end}".encode(), **settings)
    assert outcome.state is ImportState.COMPLETED_WITH_ERRORS
    assert (outcome.counts.rejected, outcome.counts.deactivated_absent, codes(outcome)) == (1, 1, ["not_a_person"])
    assert b"not_a_person" in acme.errors_csv()


async def test_a_footer_without_a_line_end_is_called_a_footer_and_the_import_held(acme: Company) -> None:
    await acme.run(THREE.encode(), deactivate_missing=True)
    outcome = await acme.run(f"{TWO}Total,2,".encode(), deactivate_missing=True)
    assert (outcome.state, codes(outcome)) == (ImportState.HELD, ["not_a_person"])


@pytest.mark.parametrize("row", ["Bo,Smith,", "Bo,Smith", "Suma,Das,", "Michael,Ende,"])
async def test_a_user_without_an_identifier_keeps_absent_users_active(acme: Company, row: str) -> None:
    await acme.run(THREE.encode(), deactivate_missing=True)
    outcome = await acme.run(f"{TWO}{row}\n".encode(), deactivate_missing=True)
    assert outcome.counts.deactivated == 0
    assert "absent_not_deactivated" in codes(outcome)


@pytest.mark.parametrize("place", [1, 2, 3])
async def test_the_header_again_is_rejected_anywhere_and_keeps_no_absent_user_active(
    acme: Company, place: int
) -> None:
    await acme.run(THREE.encode(), deactivate_missing=True)
    lines = TWO.splitlines(keepends=True)
    lines.insert(place, HEADER)
    outcome = await acme.run("".join(lines).encode(), deactivate_missing=True)
    assert (codes(outcome), outcome.counts.deactivated_absent) == (["not_a_person"], 1)


async def test_words_that_are_valid_identifiers_can_be_footers_and_headers(acme: Company) -> None:
    fields = {"custom_fields": [{"key": "number"}], "identifier": "number", "deactivate_missing": True}
    columns = ("number", "first_name", "last_name", "email")
    ann, bo = ("E1", "Ann", "Lee", "ann@a.test"), ("E2", "Bo", "Ng", "bo@a.test")
    await acme.run(sheet(ann, bo, header=columns), **fields)
    outcome = await acme.run(sheet(ann, columns, columns, ("Total", "1", "", ""), header=columns), **fields)
    assert codes(outcome) == ["not_a_person"] * 3
    assert outcome.counts.deactivated_absent == 1


async def test_labels_below_the_header_are_reported_as_labels(acme: Company) -> None:
    mapping = {"FIRSTNAME": "first_name", "LASTNAME": "last_name", "EMAIL": "email", "HIREDATE": "hire_date"}
    text = "FIRSTNAME,LASTNAME,EMAIL,HIREDATE\nFirst Name,Last Name,Email,Hire Date\nAnn,Lee,ann@a.test,01/17/2020\n"
    outcome = await acme.run(text.encode(), field_mapping=mapping, date_format="%m/%d/%Y")
    assert (codes(outcome), outcome.counts.created) == (["not_a_person"], 1)
    assert "labels the columns" in outcome.messages[0].message


async def test_lines_around_the_rows_are_left_out(acme: Company) -> None:
    text = f'User list\n"of\nMarch"\n{THREE}Total,3,\n'
    outcome = await acme.run(text.encode(), skip_first_lines=2, skip_last_lines=1, deactivate_missing=True)
    assert (outcome.state, outcome.counts.created, codes(outcome)) == (ImportState.COMPLETED, 3, [])
    outcome = await acme.run(text.encode(), skip_first_lines=2, skip_last_lines=1, deactivate_missing=True)
    assert outcome.state is ImportState.UNCHANGED


@pytest.mark.parametrize("rows", range(1, 6))
@pytest.mark.parametrize("skip", [1, 2, 3])
async def test_last_lines_are_never_applied_wherever_a_batch_ends(tmp_path: Path, rows: int, skip: int) -> None:
    names = ["ann", "bo", "cy", "di", "ed"][:rows]
    for batch_rows in (1, 2, 5):
        (folder := tmp_path / f"{batch_rows}").mkdir()
        company = company_in(folder, batch_rows=batch_rows)
        text = people(*names).decode() + "Total,Total\n" * skip
        outcome = await company.run(text.encode(), skip_last_lines=skip)
        assert (outcome.counts.created, outcome.counts.rejected) == (rows, 0)


@pytest.mark.parametrize("skip", [1, 2, 3])
async def test_a_user_on_a_left_out_last_line_fails_the_import(acme: Company, skip: int) -> None:
    outcome = await acme.run(THREE.encode(), skip_last_lines=skip)
    assert (outcome.state, codes(outcome)) == (ImportState.FAILED, ["footer_missing"])
    assert await active(acme) == []


async def test_a_last_line_with_a_word_as_identifier_is_not_a_user(acme: Company) -> None:
    fields = {"custom_fields": [{"key": "number"}], "identifier": "number", "skip_last_lines": 1}
    columns = ("number", "first_name", "last_name", "email")
    ann, bo = ("E1", "Ann", "Lee", "ann@a.test"), ("E2", "Bo", "Ng", "bo@a.test")
    for footer in (("Total", "1", "", ""), ("Made by HR", "", "", ""), ("1", "", "", "")):
        assert codes(await acme.run(sheet(ann, footer, header=columns), **fields)) == []
    assert codes(await acme.run(sheet(ann, bo, header=columns), **fields)) == ["footer_missing"]


async def test_a_left_out_last_line_without_a_line_end_holds_no_import(acme: Company) -> None:
    settings = {"deactivate_missing": True, "skip_last_lines": 1, "max_row_drop_percent": 100}
    await acme.run(f"{THREE}Total,3,\n".encode(), **settings)
    outcome = await acme.run(f"{TWO}Total,2".encode(), **settings)
    assert (outcome.state, outcome.counts.deactivated_absent) == (ImportState.COMPLETED, 1)


async def test_a_correction_loses_no_line(acme: Company) -> None:
    settings = {"skip_first_lines": 1, "skip_last_lines": 1}
    await acme.run(f"List\n{HEADER}Ann,,ann@example.com\nBo,Smith,bo@example.com\nTotal,2,\n".encode(), **settings)
    fixed = acme.errors_csv().replace(b"Ann,,", b"Ann,Smith,")
    outcome = await acme.run(fixed, **settings)
    assert (outcome.state, outcome.counts.created) == (ImportState.COMPLETED, 1)


async def test_all_errors_of_a_file_are_messages_with_their_lines(acme: Company) -> None:
    outcome = await acme.run(f'{HEADER}Ann "A",Lee,a@b.cd\nBo,Ng,b@b.cd\nC"y",D,c@b.cd\n'.encode())
    assert outcome.state is ImportState.FAILED
    assert [(each.code, each.line) for each in outcome.messages] == [("misplaced_quote", 2), ("misplaced_quote", 4)]
    assert "The file has 2 errors: see the messages." in (outcome.message or "")


async def test_a_row_says_how_many_cells_are_missing_or_too_many_at_its_end(acme: Company) -> None:
    text = (
        "first_name,last_name,email,location,role\nAnn,Lee,ann@a.test,Rome,\nBo,Ng,bo@a.test,Rome\nCy,Oh,cy@a.test\n"
        "Di,Po,di@a.test,Rome,,\nEd,Qu,Jr,ed@a.test,Rome,\n"
    )

    def said(problem: Problem) -> str:
        return problem.message.partition("the header 5")[2][:40]

    outcome = await acme.run(text.encode())
    assert codes(outcome) == ["ragged_row"] * 4
    assert [said(problem) for problem in outcome.messages] == [
        ": 1 cell is missing at the end. Export e",
        ": 2 cells are missing at the end. Export",
        ": 1 blank cell too many at the end. Remo",
        ". Look for an extra or missing delimiter",
    ]
