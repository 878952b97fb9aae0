"""Each promise of docs/promises.md names a test that exists, in the file where it is."""

from __future__ import annotations

import ast
import re
from functools import cache

from tests.support import ROOT

PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (.+?) \| `(test_\w+)` \| `(tests/[\w/]+\.py)` \|$", PAGE, re.MULTILINE)


@cache
def functions_of(file: str) -> set[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, functions)}


def test_every_promise_names_a_test_that_exists_in_the_file_named() -> None:
    assert len(ROWS) >= 60
    missing = [f"{test} is not in {file}" for _, test, file in ROWS if test not in functions_of(file)]
    assert missing == []


def test_every_row_of_a_table_is_a_promise_with_its_test_and_file() -> None:
    rows = [
        line for line in PAGE.splitlines() if line.startswith("|") and not line.startswith(("| promise |", "|---"))
    ]
    assert len(rows) == len(ROWS)


def test_no_promise_and_no_test_is_named_twice() -> None:
    promises, tests = [promise for promise, _, _ in ROWS], [(test, file) for _, test, file in ROWS]
    assert len(set(promises)) == len(promises)
    assert len(set(tests)) == len(tests)
