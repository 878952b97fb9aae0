"""docs/architecture.md names every folder of the product, and only modules and functions that exist."""

from __future__ import annotations

import re

from tests.support import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
LAYOUT = PAGE.split("\n## Layout\n")[1].split("\n## ")[0]
WAY = PAGE.split("\n## From an upload to its import\n")[1].split("\n## ")[0]
PACKAGES = ("ground", "keys", "importer", "engine", "server", "headcount")


def rows() -> dict[str, str]:
    """Return the text about each folder, by its path from the root."""
    found = {}
    package = ""
    for folder, text in re.findall(r"^\| `([\w/]+)/`[^|]*\| (.+) \|$", LAYOUT, re.MULTILINE):
        if folder in PACKAGES:
            package = folder
        found[folder if folder in PACKAGES else f"{package}/{folder}"] = text
    return found


def test_the_layout_has_every_folder_with_code() -> None:
    folders = {file.parent for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    named = set(rows())
    inside = {f"{folder}/{each}" for folder, text in rows().items() for each in re.findall(r"`(\w+)/`", text)}
    assert {folder.relative_to(ROOT).as_posix() for folder in folders} <= named | inside
    assert [folder for folder in named | inside if not (ROOT / folder).is_dir()] == []


def test_every_module_in_the_layout_exists() -> None:
    missing = []
    for folder, text in rows().items():
        for module in re.findall(r"`([\w/]+\.py)`", text):
            places = [ROOT / folder / module, ROOT / folder.split("/")[0] / module, ROOT / module]
            places += list((ROOT / folder.split("/")[0]).rglob(module)) if "/" not in module else []
            if not any(place.is_file() for place in places):
                missing.append(f"{folder}: {module}")
    assert missing == []


def test_a_folder_with_its_own_table_has_every_module_in_it() -> None:
    tables = re.split(r"^#### ([\w/]+)$", LAYOUT, flags=re.MULTILINE)[1:]
    assert tables
    for folder, table in zip(tables[::2], tables[1::2], strict=True):
        modules = {file.name for file in (ROOT / folder).glob("*.py")} - {"__init__.py"}
        assert set(re.findall(r"`(\w+\.py)`", table.split("\n### ")[0])) == modules, folder


def test_every_function_on_the_way_of_an_upload_exists() -> None:
    steps = re.findall(r"^\| [^|`]+ \| (`[^|]+) \| (`[^|]+) \|$", WAY, re.MULTILINE)
    assert len(steps) > 10
    for modules, functions in steps:
        source = "".join((ROOT / each).read_text("utf-8") for each in re.findall(r"`([\w/]+\.py)`", modules))
        for name in re.findall(r"\w+", " ".join(re.findall(r"`([\w.]+)`", functions))):
            assert re.search(rf"\b(?:def|class) {name}\b", source), f"{name} is not in {modules}"
