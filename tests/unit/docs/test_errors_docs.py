"""docs/errors.md names every message code of the importer, and its examples do what it says."""

from __future__ import annotations

import ast
import re

import pytest

from importer.errors import FileError, ImporterError
from importer.file.header import REQUIRED
from importer.file.reader import CsvReader
from importer.model import GuardReason, Problem
from importer.rules.custom import CustomField
from importer.rules.rows import RowChecker
from importer.rules.settings import ImportSettings
from tests.support import ROOT

PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
PACKAGES = ("importer", "engine", "server", "keys")
CODE_AT = {"Doubtful": 1, "FileError": 0, "Invalid": 0, "Problem": 1}

CUSTOM_FIELDS = (
    CustomField(key="shoe_size", type="number"),
    CustomField(key="on_call", type="boolean"),
    CustomField(key="shift", type="choice", choices=("Early", "Late")),
)


def table(heading: str) -> list[list[str]]:
    """Return the cells of the first table below `heading`, without its own header."""
    part = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in rows]


def codes_of(node: ast.Call, where: str) -> set[str]:
    """Return the code in this call: a text, or the value of a guard's reason. Empty if the code is passed on."""
    at = CODE_AT[node.func.id] if isinstance(node.func, ast.Name) else 0
    named = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
    code = node.args[at] if len(node.args) > at else named[0]
    if isinstance(code, ast.Constant):
        return {str(code.value)}
    text = ast.unparse(code)
    assert text.endswith("code") or re.fullmatch(r"GuardReason\.\w+\.value", text), f"{where}: which code is {text}?"
    return set()


def codes_in_the_program() -> set[str]:
    found = {reason.value for reason in GuardReason} | {ImporterError.code}
    for file in [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CODE_AT:
                found |= codes_of(node, f"{file.relative_to(ROOT)} line {node.lineno}")
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).startswith("code,"):
                values = node.value.elts if isinstance(node.value, ast.Tuple) else []
                found |= {str(value.value) for value in values[:1] if isinstance(value, ast.Constant)}
    return found | {error.code for error in ImporterError.__subclasses__() if "code" in vars(error)}


FAILS = table("The file failed")
REJECTS = table("Rejected rows")
SAYS = table("Warnings and notices")
UNDOES = table("Undo")
HOLDS = table("Held imports")


def test_every_code_is_on_the_page_and_every_code_on_the_page_exists() -> None:
    documented = {row[0].strip("`") for row in [*FAILS, *REJECTS, *SAYS, *UNDOES, *HOLDS]}
    assert documented == codes_in_the_program()


def test_every_code_has_its_cause_and_what_to_do() -> None:
    assert {len(row) for row in FAILS} == {3}
    assert {len(row) for row in REJECTS} == {4}
    assert all(all(row) for row in [*FAILS, *SAYS, *UNDOES, *HOLDS])


def problems_of(text: str) -> list[Problem]:
    settings = ImportSettings(custom_fields=CUSTOM_FIELDS)
    reader = CsvReader([text.encode()], **settings.form)
    checker = RowChecker(reader.header, settings)
    found: list[Problem] = []
    for batch in reader.batches():
        for line, raw in zip(batch.lines, batch.raws, strict=True):
            found += checker.check(line, reader.cells(line, raw), raw).problems
    return found + reader.problems


@pytest.mark.parametrize(("code", "example"), [row[:2] for row in FAILS if "⏎" in row[1]])
def test_a_failing_file_of_the_docs_fails_with_its_code(code: str, example: str) -> None:
    text = example.strip("`").replace("⏎", "\n").replace("␍", "\r").replace("␀", "\0")
    with pytest.raises(FileError) as caught:
        problems_of(text)
    assert caught.value.code == code.strip("`")


ROWS = [row[:3] for row in REJECTS if row[2].startswith("`") and "⏎" not in row[2]]


@pytest.mark.parametrize(("code", "column", "row"), ROWS)
def test_a_rejected_row_of_the_docs_gets_its_code_and_column(code: str, column: str, row: str) -> None:
    name = column.strip("`")
    header = ",".join([*REQUIRED, name] if name and name not in REQUIRED else REQUIRED)
    found = problems_of(f"{header}\n{row.split('`')[1]}\n")
    assert [(problem.code, problem.column) for problem in found] == [(code.strip("`"), name or None)]
