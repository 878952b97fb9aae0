"""The layout in docs/architecture.md names every folder of the product, and only modules that exist."""

from __future__ import annotations

import re

from tests.support import ROOT

LAYOUT = (ROOT / "docs" / "architecture.md").read_text("utf-8").split("\n## Layout\n")[1].split("\n## ")[0]
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
