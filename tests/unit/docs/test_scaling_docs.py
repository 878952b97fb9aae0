"""docs/scaling.md agrees with the code: connections, settings, metrics, log events, and the inputs of the model."""

from __future__ import annotations

import json
import re

import pytest

from benchmarks.fleet import STORED
from benchmarks.sizing.inputs import ASSUMED, MEASURED, Assumptions, costs_from, listed
from engine.postgres.store import READERS_CONNECTIONS, SERVERS_CONNECTIONS
from importer.worker.worker import AT_ONCE
from server.settings import PREFIX, ServerSettings
from tests.support import ROOT

PAGE = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
OPERATING = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
EVENTS = ("server_unheard", "work_left", "queue_waits", "end_owed")


def test_the_page_adds_up_the_connections_of_a_server() -> None:
    rows = re.findall(r"^\| (\d+)(?: at most)? \| ", PAGE, re.MULTILINE)
    assert [int(each) for each in rows] == [SERVERS_CONNECTIONS, READERS_CONNECTIONS, AT_ONCE, 1, 1, 1]
    assert f"Together these are {sum(map(int, rows))}" in PAGE


def test_every_setting_on_the_page_exists() -> None:
    named = {each.lower() for each in re.findall(rf"\b{PREFIX}(\w+)", PAGE)}
    assert named
    assert named <= ServerSettings.model_fields.keys()


def test_every_metric_on_the_page_is_on_the_page_of_operators() -> None:
    named = set(re.findall(r"`(headcount_\w+)", PAGE))
    assert named
    assert {each for each in named if f"`{each}" not in OPERATING} == set()


@pytest.mark.parametrize("event", EVENTS)
def test_every_log_event_on_the_page_is_on_the_page_of_operators(event: str) -> None:
    assert f"`{event}`" in PAGE
    assert f"`{event}`" in OPERATING


def test_the_page_has_every_input_of_the_model_with_its_source() -> None:
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    rows = re.findall(rf"^\| (\w+) \| (.+?) \| ({MEASURED}|{ASSUMED}) \| (.+) \|$", PAGE, re.MULTILINE)
    inputs = listed(costs_from(stored["costs"]), Assumptions())
    assert rows == [(each.name, each.value, each.source, each.what) for each in inputs]
    assert f"{stored['machine']}, {stored['date']}" in " ".join(PAGE.split())
