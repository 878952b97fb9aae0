"""The version is the same in the code, in pyproject.toml and in CHANGELOG.md, which is ready for its tag."""

from __future__ import annotations

import re
import tomllib
from datetime import date

from engine.sqlite.database import newest_version
from headcount import __version__
from tests.support import ROOT
from tests.support.steps import section

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
OPERATING = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")

RELEASE = re.compile(r"(\d+\.\d+\.\d+) \((\d{4}-\d\d-\d\d)\)")
UNRELEASED = "Unreleased"


def headings() -> list[str]:
    return re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)


def releases() -> list[tuple[str, str]]:
    """Return the released versions with their dates, as CHANGELOG.md has them."""
    return [(found[1], found[2]) for each in headings() if (found := RELEASE.fullmatch(each))]


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def test_the_version_of_the_code_is_that_of_the_project_and_of_the_changelog() -> None:
    assert __version__ == PROJECT["project"]["version"] == releases()[0][0]


def test_the_changelog_lists_releases_from_newest_to_oldest_with_their_dates() -> None:
    assert [each for each in headings() if not RELEASE.fullmatch(each)] in ([], [UNRELEASED])
    assert UNRELEASED not in headings()[1:]
    order = [(numbers(version), date.fromisoformat(day)) for version, day in releases()]
    assert order == sorted(order, reverse=True)
    assert len({version for version, _ in releases()}) == len(order)


def test_every_release_has_upgrade_notes() -> None:
    for version, day in releases():
        assert "\n### Upgrade notes\n" in section(CHANGELOG, f"{version} ({day})")


def test_the_page_has_the_schemas_of_this_version() -> None:
    rows = dict(re.findall(r"^\| (\d+\.\d+\.\d+) \| (\d+ \| \d+) \|$", section(OPERATING, "Versions"), re.MULTILINE))
    assert rows[__version__] == f"{newest_version('server')} | {newest_version('tenant')}"
