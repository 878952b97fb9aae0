"""The owner's guide uses the labels of the pages, and its pictures exist."""

from __future__ import annotations

import re

from server.tenants.setting_texts import SETTING_TEXTS
from server.web.pages.files.sentences import STATES as FILE_STATES
from server.web.pages.words import STATES
from tests.support import ROOT

DOCS = ROOT / "docs"
GUIDE = (DOCS / "owner-guide.md").read_text(encoding="utf-8")
TEMPLATES = ROOT / "server" / "web" / "pages" / "templates"


def test_settings_have_the_labels_of_the_form() -> None:
    named = re.findall(r"\*([^*]+)\* \(`(\w+)`\)", GUIDE)
    assert len(named) > 2
    assert [label for label, name in named if SETTING_TEXTS[name].label != label] == []


def test_states_have_the_labels_of_the_list() -> None:
    rows = re.findall(r"^\| ([A-Z][^|]*?) \| ", GUIDE, re.MULTILINE)
    assert len(rows) > 5
    assert [state for state in rows if state not in {*STATES.values(), *FILE_STATES.values()}] == []


def test_buttons_and_pages_have_the_names_of_the_templates() -> None:
    shown = "".join(file.read_text(encoding="utf-8") for file in TEMPLATES.glob("*.html"))
    named = re.findall(r"\*\*([^*]+)\*\*", GUIDE)
    assert len(named) > 5
    assert [name for name in named if name not in shown] == []


def test_every_picture_of_the_guide_exists() -> None:
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", GUIDE)
    assert len(pictures) > 5
    assert [each for each in pictures if not (DOCS / each).is_file()] == []
