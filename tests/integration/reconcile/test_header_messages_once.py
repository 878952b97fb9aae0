"""Messages about a header are reported when the header changes, not every night."""

from __future__ import annotations

from pathlib import Path

import pytest

from importer.model import ImportState
from tests.support.importing import HEADER, Company, codes, people, sheet
from tests.support.installation import company_in

ANN = ("Ann", "Smith", "ann@example.com")


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return company_in(tmp_path)


def file(*columns: str, name: str = "Ann") -> bytes:
    return sheet((name, *ANN[1:], *("x" for _ in columns)), header=(*HEADER, *columns))


async def test_an_unknown_column_is_reported_for_the_first_file_only(company: Company) -> None:
    assert codes(await company.run(file("dept"))) == ["unknown_column"]
    for _ in range(2):
        outcome = await company.run(file("dept"))
        assert (outcome.state, outcome.messages, outcome.counts.warnings) == (ImportState.UNCHANGED, (), 0)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (("First_Name", "last_name", "email", "x"), "header_spelling"),
        (("first_name", "last_name", "email", "skills"), "skills_column"),
        (("first_name", "last_name", "email", ""), "unnamed_column"),
    ],
)
async def test_other_messages_about_a_header_are_reported_once_too(
    company: Company, header: tuple[str, ...], code: str
) -> None:
    content = sheet((*ANN, "x"), header=header)
    assert code in codes(await company.run(content))
    assert codes(await company.run(content)) == []


async def test_a_column_that_is_not_used_is_reported_once(company: Company) -> None:
    settings = {"field_mapping": {"Mail": "email", "WorkMail": "email"}}
    content = sheet((*ANN[:2], ANN[2], ANN[2]), header=("first_name", "last_name", "Mail", "WorkMail"))
    assert codes(await company.run(content, **settings)) == ["column_not_used"]
    assert codes(await company.run(content, **settings)) == []


async def test_only_a_new_column_is_reported(company: Company) -> None:
    await company.run(file("dept"))
    outcome = await company.run(file("floor", "dept"))
    assert [problem.value for problem in outcome.messages] == ["floor"]


async def test_a_column_that_is_sent_again_is_reported_again(company: Company) -> None:
    await company.run(file("dept"))
    assert codes(await company.run(file())) == []
    assert codes(await company.run(file("dept"))) == ["unknown_column"]


async def test_a_column_that_a_setting_makes_unknown_is_reported(company: Company) -> None:
    mapped = {"field_mapping": {"dept": "job_title"}}
    assert codes(await company.run(file("dept"), **mapped)) == []
    assert codes(await company.run(file("dept"))) == ["unknown_column"]


async def test_a_dry_run_reports_all_messages_about_the_header(company: Company) -> None:
    await company.run(file("dept"))
    assert codes(await company.run(file("dept"), dry_run=True)) == ["unknown_column"]
    assert codes(await company.run(file("dept"))) == []


async def test_a_dry_run_does_not_count_as_the_previous_file(company: Company) -> None:
    await company.run(file("dept"), dry_run=True)
    assert codes(await company.run(file("dept"))) == ["unknown_column"]


async def test_a_failed_file_does_not_count_as_the_previous_file(company: Company) -> None:
    await company.run(people("ann"))
    assert (await company.run(sheet(("Ann", "", "", "x"), header=(*HEADER, "dept")))).state is ImportState.FAILED
    assert codes(await company.run(file("dept"))) == ["unknown_column"]


async def test_a_correction_does_not_count_as_the_previous_file(company: Company) -> None:
    await company.run(file("dept"))
    await company.run(sheet(("2", "bad_date", *ANN), header=("_line", "_code", *HEADER)))
    assert codes(await company.run(file("dept"))) == []


async def test_a_header_is_reported_again_after_an_undo(company: Company) -> None:
    await company.run(file("dept"))
    await company.run(file("dept", name="Anna"))
    await company.undo()
    assert codes(await company.run(file("dept", name="Anna"))) == ["unknown_column"]
    assert codes(await company.run(file("dept", name="Anna"))) == []


async def test_warnings_about_the_whole_file_are_reported_every_time(company: Company) -> None:
    content = sheet(("Zoë", *ANN[1:]))
    for _ in range(2):
        assert codes(await company.run(content, encoding="cp1252")) == ["perhaps_utf_8"]


async def test_a_file_applied_by_an_older_server_leaves_no_notes_on_its_header(company: Company) -> None:
    await company.run(file("dept"))
    await company.sql("UPDATE applied SET header = NULL")
    assert codes(await company.run(file("dept"))) == ["unknown_column"]


async def test_the_message_on_an_unknown_column_says_how_to_ignore_it_silently(company: Company) -> None:
    [problem] = (await company.run(file("dept"))).messages
    assert "begin its name with _" in problem.message
    assert "field_mapping" in problem.message
    assert codes(await company.run(file("_dept"))) == []
    assert codes(await company.run(file("dept"), field_mapping={"dept": ""})) == []
