"""The README's promises are kept by tests that exist, and its links lead somewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support import ROOT

PROMISE = re.compile(r"^\| (?P<promise>[^|]+) \| `(?P<test>test_\w+)` \|$", re.MULTILINE)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def names_of_tests() -> set[str]:
    trees = (ast.parse(file.read_text(encoding="utf-8")) for file in (ROOT / "tests").rglob("test_*.py"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, functions)}


def test_every_promise_of_the_readme_is_kept_by_a_test() -> None:
    promised = {found["test"] for found in PROMISE.finditer(readme())}
    assert len(promised) >= 10
    assert promised <= names_of_tests(), sorted(promised - names_of_tests())


def test_every_line_of_the_table_of_promises_names_its_test() -> None:
    table = readme().partition("| promise | test |")[2].partition("\n\n")[0]
    lines = table.strip().splitlines()[1:]
    assert len(lines) == len(PROMISE.findall(readme()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
