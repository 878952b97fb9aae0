"""The messages of imports, and the users that they would change, read page by page."""

from __future__ import annotations

from pathlib import Path

import pytest

from importer.messages.spool import messages_in, touched_in
from tests.support.importing import Company, people, sheet
from tests.support.installation import company_in


@pytest.fixture
async def company(tmp_path: Path) -> Company:
    """An import with five rejected rows and two rows with warnings."""
    company = company_in(tmp_path)
    bad = [(f"Bad{number}", "Smith", "nowhere", "") for number in range(5)]
    good = [("Ann", "Smith", "ann@example.com", "nobody@example.com"), ("Bob", "Smith", "bob@example.com", "bob@")]
    await company.run(sheet(*bad, *good, header=("first_name", "last_name", "email", "manager")))
    return company


async def test_messages_come_in_pages_that_miss_none(company: Company) -> None:
    path = company.messages / "1.jsonl"
    everything, more = messages_in(path, limit=1000)
    assert more is None
    assert len(everything) >= 7
    found, after = messages_in(path, limit=2)
    while after is not None:
        page, after = messages_in(path, after=after, limit=2)
        found += page
    assert found == everything


async def test_messages_are_found_by_severity_and_code(company: Company) -> None:
    path = company.messages / "1.jsonl"
    errors, more = messages_in(path, severity="error", limit=5)
    assert len(errors) == 5
    assert more is None
    assert {each["severity"] for each in errors} == {"error"}
    code = errors[0]["code"]
    assert messages_in(path, severity="error", code=code, limit=1000) == (errors, None)
    assert messages_in(path, severity="warning", code=code) == ([], None)


async def test_an_import_without_messages_has_an_empty_page(tmp_path: Path) -> None:
    assert messages_in(tmp_path / "1.jsonl") == ([], None)


async def test_users_that_a_dry_run_would_change_are_found_by_action(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann", "bob"))
    await company.run(people("ann", "cid", job_title="Clerk"), dry_run=True, deactivate_missing=True)
    path = company.messages / "2.touched.jsonl"
    first, after = touched_in(path, limit=2)
    rest, end = touched_in(path, after=after or 0, limit=2)
    assert [each["action"] for each in first + rest] == ["updated", "deactivated", "created"]
    assert end is None
    gone, _ = touched_in(path, action="deactivated")
    assert [each["email"] for each in gone] == ["bob@example.com"]
