"""The README is short, its commands are those that CI runs, and links between pages lead somewhere."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tests.support import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ +(.+?) *$", page.read_text(encoding="utf-8"), re.MULTILINE)
    shown = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in shown}


def test_the_readme_fits_on_two_screens_before_its_links() -> None:
    lines = readme().partition("\n## Documentation\n")[0].splitlines()
    assert len(lines) <= 100
    assert max(len(line) for line in lines) <= 120


def test_the_two_commands_of_the_readme_are_those_that_ci_runs() -> None:
    commands = re.findall(r"^    (make \w+) +#", readme(), re.MULTILINE)
    assert commands == ["make demo", "make test"]
    assert re.search(r"^(?:NO_SKIPS=1 )?make test$", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)
    recipe = re.search(r"^demo: .*\n\t@\$\(BIN\)/python (\S+)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert recipe is not None
    run_by_a_test = (ROOT / "tests" / "system" / "test_demo.py").read_text("utf-8")
    assert " / ".join(f'"{part}"' for part in recipe[1].split("/")) in run_by_a_test


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        other = page.parent / target if target else page
        assert other.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(other), f"{page.name} links to {target}#{anchor}"
