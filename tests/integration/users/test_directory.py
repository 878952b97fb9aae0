"""The users of a tenant as people read them, over a read-only connection."""

from __future__ import annotations

from pathlib import Path

from tests.support.importing import people
from tests.support.installation import company_in


async def test_a_directory_opened_for_reading_waits_for_no_import(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann"))
    with company.writing():
        async with company.kept.directory() as directory:
            assert await directory.get("ann@example.com")
