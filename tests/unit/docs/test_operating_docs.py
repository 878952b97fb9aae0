"""docs/operating.md names what is there: metrics and states of imports."""

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
