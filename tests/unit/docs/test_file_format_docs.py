"""docs/file-format.md names every column, choice and limit, and its example has no problems."""

from __future__ import annotations

import re

from importer.file.header import COLUMNS, MAX_COLUMNS
from importer.file.reader import MAX_CELL
from importer.file.records import MAX_ROW
from importer.rules.cells import LANGUAGES, MAX_TEXT, ROLES
from tests.support import ROOT
from tests.unit.docs.test_errors_docs import problems_of

PAGE = (ROOT / "docs" / "file-format.md").read_text(encoding="utf-8")


def test_the_example_at_the_top_has_no_problems() -> None:
    example = PAGE.split("```csv\n")[1].split("```")[0]
    assert problems_of(example) == []


def test_every_column_and_every_choice_is_on_the_page() -> None:
    columns = PAGE.split("## The columns\n")[1].split("\n## ")[0]
    named = set(re.findall(r"`([^`]+)`", columns))
    assert set(COLUMNS) | set(ROLES) | set(LANGUAGES) <= named


def test_the_limits_on_the_page_are_those_of_the_program() -> None:
    assert f"{MAX_COLUMNS} columns, {MAX_CELL:,} characters a cell, {MAX_ROW:,} characters a row" in PAGE
    assert f"at most {MAX_TEXT} characters" in PAGE
