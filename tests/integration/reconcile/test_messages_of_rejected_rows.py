"""A rejected row has all its messages, and none that is true only of applied rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.importing import HEADER, Company, codes, sheet
from tests.support.installation import company_in

ANN = ("Ann", "Smith", "ann@example.com")


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return company_in(tmp_path)


async def test_a_rejected_row_has_its_warnings_too(company: Company) -> None:
    settings = {"custom_fields": [{"key": "badge", "type": "text"}]}
    content = sheet((*ANN, "1.23E+05", "soon"), header=(*HEADER, "badge", "hire_date"))
    outcome = await company.run(content + b"Bo,Ng,bo@ng.test,7,\n", **settings)
    assert codes(outcome) == ["mangled_number", "bad_date"]
    assert "was taken" not in outcome.messages[0].message, "nothing of a rejected row is taken"
    assert "Format the column as text" in outcome.messages[0].message
    assert "mangled_number; bad_date" in company.errors_csv().decode("utf-8-sig")
    assert outcome.counts.warnings == 1


async def test_a_duplicate_row_gets_no_messages_about_its_cells(company: Company) -> None:
    settings = {"custom_fields": [{"key": "badge", "type": "text"}]}
    rows = [(*ANN, "7"), (*ANN, "1.23E+05")]
    outcome = await company.run(sheet(*rows, header=(*HEADER, "badge")), **settings)
    assert codes(outcome) == ["duplicate_identifier"]
