"""The alerts and the dashboard of deploy/: each alert is on the page and tested, and all that they name exists."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pytest
import yaml

from server.upkeep.metrics import Metrics
from tests.support import ROOT
from tests.support.dashboards import BOARD, panels, queries

DEPLOY = ROOT / "deploy"
SECTION = (
    (ROOT / "docs" / "operating.md").read_text(encoding="utf-8").partition("\n## Alerts\n")[2].partition("\n## ")[0]
)
ALERTS = {
    rule["alert"]: rule
    for group in yaml.safe_load((DEPLOY / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}
TESTS = yaml.safe_load((DEPLOY / "alerts.test.yaml").read_text(encoding="utf-8"))["tests"]

METRICS = {
    *re.findall(r"^# TYPE (\w+) ", Metrics().render().decode(), re.MULTILINE),
    *("headcount_import_duration_seconds_bucket", "headcount_import_duration_seconds_count"),
}
OF_PROMETHEUS = {"up", "scrape_duration_seconds", "ALERTS"}
NAMES = re.compile(r"\b((?:headcount|process|scrape)_\w+|up|ALERTS)\b(?=\{|\[|[ )]|$)")


def metrics_in(expression: str) -> set[str]:
    return set(NAMES.findall(expression))


def sections(page: str) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def of_tests() -> Mapping[str, list[bool]]:
    """Return for each alert whether it fires, in the order of the times of its test."""
    found = defaultdict(list)
    for test in TESTS:
        for look in test["alert_rule_test"]:
            found[look["alertname"]].append(bool(look["exp_alerts"]))
    return found


def test_every_alert_is_on_the_page_with_its_severity_and_no_other() -> None:
    documented = re.findall(r"^\| `(\w+)` \| (\w+) \|", SECTION, re.MULTILINE)
    assert documented == [(name, rule["labels"]["severity"]) for name, rule in ALERTS.items()]


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_what_happened_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    assert rule["annotations"]["description"].endswith(".")
    page, _, section = rule["annotations"]["runbook"].partition("#")
    assert section in sections(page)


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_has_a_test_in_which_it_fires_and_clears(name: str) -> None:
    looks = of_tests()[name]
    assert looks[0] is False
    assert True in looks
    assert looks[-1] is False


@pytest.mark.parametrize("name", ALERTS)
def test_every_metric_of_an_alert_is_one_of_the_server(name: str) -> None:
    found = metrics_in(ALERTS[name]["expr"])
    assert found
    assert found <= METRICS | OF_PROMETHEUS


def test_every_metric_of_the_dashboard_is_one_of_the_server() -> None:
    found = {metric for _, query in queries() for metric in metrics_in(query)}
    assert found <= METRICS | OF_PROMETHEUS
    assert {metric for metric in METRICS if metric.startswith("headcount_")} - found == {
        "headcount_import_duration_seconds"  # by its buckets
    } | {"headcount_import_duration_seconds_count"}


def test_the_panels_of_the_dashboard_are_explained_and_do_not_overlap() -> None:
    assert all(panel["title"] and panel["description"].endswith(".") for panel in panels())
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    for one, other in combinations((panel["gridPos"] for panel in BOARD["panels"]), 2):
        assert apart(one, other), (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in BOARD["panels"])


def apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return (
        one["x"] + one["w"] <= other["x"]
        or other["x"] + other["w"] <= one["x"]
        or one["y"] + one["h"] <= other["y"]
        or other["y"] + other["h"] <= one["y"]
    )


def test_the_dashboard_asks_the_prometheus_that_its_variable_names() -> None:
    sources = [panel["datasource"] for panel in panels()] + [
        target["datasource"] for panel in panels() for target in panel["targets"]
    ]
    assert {source["uid"] for source in sources} == {"${datasource}"}
