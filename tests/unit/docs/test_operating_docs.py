"""docs/operating.md names what is there: metrics, states of imports, events of the log."""

from __future__ import annotations

import re

import pytest

from importer.model import ImportState
from server.upkeep.metrics import OUTCOMES, Metrics
from tests.support import ROOT

PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")


def test_every_metric_of_ours_is_on_the_page_and_no_other() -> None:
    families = re.findall(r"^# TYPE (headcount_\w+) (\w+)$", Metrics().render().decode(), re.MULTILINE)
    names = {name for name, _ in families}
    assert set(re.findall(r"`(headcount_\w+)", PAGE)) == names
    assert all(f"`{outcome}`" in PAGE for outcome in OUTCOMES)


@pytest.mark.parametrize("state", [state for state in ImportState if state != "arriving"])
def test_every_state_is_on_the_page(state: ImportState) -> None:
    assert f"`{state}`" in PAGE


def test_every_event_of_imports_is_on_the_page_and_no_other() -> None:
    files = [*(ROOT / "importer").rglob("*.py"), *(ROOT / "server").rglob("*.py")]
    files = [file for file in files if file.parent.name not in {"sftp", "files"}]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    events = set(re.findall(r'"event": "(\w+)"', text)) - {"listening", "stopping", "stopped", "stopping_at_once"}
    section = PAGE.partition("## Logs")[2]
    rows = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == events
