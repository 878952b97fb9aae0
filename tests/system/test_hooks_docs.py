"""docs/hooks.md and deploy/examples have the same package."""

from __future__ import annotations

from tests.support import ROOT
from tests.support.steps import files, section

PAGE = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "deploy" / "examples" / "invoices"


def test_the_files_of_the_page_are_those_of_the_example() -> None:
    assert files(section(PAGE, "From an empty folder to an installed hook")) == {
        name: (EXAMPLE / name).read_text(encoding="utf-8")
        for name in ("headcount_invoices.py", "test_headcount_invoices.py", "pyproject.toml")
    }
