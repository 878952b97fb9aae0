"""The examples of docs/errors.md that need users: each, imported, is answered with its code and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from importer.model import Problem
from tests.support.importing import Company, sheet
from tests.unit.docs.test_errors_docs import REJECTS, SAYS

HEADER = ("first_name", "last_name", "email", "manager")
EXAMPLES = [(row[0].strip("`"), row[-2]) for row in [*REJECTS, *SAYS] if "⏎" in row[-2]]
SETTINGS: dict[str, dict[str, Any]] = {
    "not_reactivated": {"reactivate_returning": False},
    "absent_not_deactivated": {"deactivate_missing": True},
}
BESIDES = {
    "absent_not_deactivated": ["missing_value"],
}
"""What an example is answered with besides, because it can't be otherwise."""


async def told(folder: Path, content: str, **settings: Any) -> list[Problem]:
    """What an import of `content` says where the users of the page are users."""
    company = Company(folder)
    people = [
        ("Ann", "Lee", "ann@lee.test", "bo@ng.test"),
        ("Bo", "Ng", "bo@ng.test", ""),
        ("Cy", "Dee", "cy@dee.test", ""),
        ("Di", "Orr", "di@orr.test", ""),
    ]
    await company.run(sheet(*people, header=HEADER))
    await company.sql("UPDATE users SET state = 'deactivated' WHERE email = 'cy@dee.test'")
    await company.sql("UPDATE users SET protected = 1 WHERE email = 'di@orr.test'")
    outcome = await company.run(content.encode(), detect_truncation=False, **settings)
    return list(outcome.messages)


@pytest.mark.parametrize(("code", "example"), EXAMPLES, ids=[code for code, _ in EXAMPLES])
async def test_an_example_of_the_page_is_answered_as_the_page_says(tmp_path: Path, code: str, example: str) -> None:
    content = example.split("`")[1].replace("⏎", "\n")
    problems = await told(tmp_path, content, **SETTINGS.get(code, {}))
    assert sorted(problem.code for problem in problems) == sorted([code, *BESIDES.get(code, [])])


async def test_the_users_of_the_page_are_told_nothing_when_all_is_well(tmp_path: Path) -> None:
    assert await told(tmp_path, "first_name,last_name,email\nAnn,Lee,ann@lee.test\n") == []
