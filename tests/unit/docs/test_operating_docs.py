"""docs/operating.md names the metrics, states, settings, commands and codes of the code, and no others."""

from __future__ import annotations

import re
from typing import get_args

import click
import pytest

from importer.model import ImportState
from importer.queue.notices import Channel
from server.cli import cli
from server.files.contracts import LoginResult, UploadResult
from server.settings import ServerSettings
from server.tenants.settings import TenantSettings
from server.upkeep.metrics import OUTCOMES, Metrics
from server.web.api.refusals import CODES
from tests.support import ROOT
from tests.unit.docs.test_events_docs import logged

PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
PAGES_OF_DOCS = ROOT / "tests" / "unit" / "docs"

LABEL_VALUES: dict[str, set[str]] = {
    "headcount_import_rows_total": set(OUTCOMES),
    "headcount_ready": {"sftp", "worker", "hooks", "database", "disk", "files"},
    "headcount_users": {"active", "deactivated"},
    "headcount_sftp_logins_total": set(get_args(LoginResult)),
    "headcount_sftp_bytes_total": {"in", "out"},
    "headcount_uploads_total": set(get_args(UploadResult)),
    "headcount_outbox_length": {*Channel, "invitation"},
    "headcount_deliveries_total": {"sent", "failed", "given_up"},
}
"""The values of labels other than `tenant` and `state` of an import, by metric."""

IN_ANSWERS = {
    *("http_port", "sftp_port", "hooks_broken", "tenants_broken", "internal_error", "gave_up", "given_up"),
    "too_many_streams",
}
"""Names of the page in JSON, in messages of imports and in answers, which no table of the code lists."""


def section(heading: str) -> str:
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def rows(heading: str) -> list[list[str]]:
    """Return the cells of all table rows in a section, without headings."""
    found = re.findall(r"^\| (`.+) \|$", section(heading), re.MULTILINE)
    return [row.split(" | ") for row in found]


def in_code(folder: str, text: str) -> bool:
    return any(text in file.read_text(encoding="utf-8") for file in (ROOT / folder).rglob("*.py"))


def test_every_metric_of_the_code_is_on_the_page_and_no_other() -> None:
    families = re.findall(r"^# TYPE (headcount_\w+) (\w+)$", Metrics().render().decode(), re.MULTILINE)
    names = {name for name, _ in families}
    assert set(re.findall(r"`(headcount_\w+)", PAGE)) == names
    assert {row[0].strip("`").partition("{")[0] for row in rows("Metrics")} == names


def test_the_page_has_the_labels_of_each_metric() -> None:
    documented = {}
    for name, _ in rows("Metrics"):
        metric, _, labels = name.strip("`}").partition("{")
        documented[metric] = set(labels.split(",")) - {""}
    metrics = Metrics()
    by_tenant = {each._name: {label for label, _ in each._order} for each in metrics._by_tenant}
    assert {metric: labels for metric, labels in documented.items() if metric in by_tenant} == by_tenant
    others = {
        "headcount_build_info": metrics.build_info,
        "headcount_ready": metrics.ready,
        "headcount_outbox_length": metrics.outbox_length,
        "headcount_deliveries_total": metrics.deliveries,
    }
    with_labels = {metric for metric, labels in documented.items() if labels} - by_tenant.keys()
    assert with_labels == others.keys()
    assert {metric: set(each._labelnames) for metric, each in others.items()} == {
        metric: documented[metric] for metric in others
    }


def test_the_page_has_the_values_of_each_label() -> None:
    for name, text in rows("Metrics"):
        metric = name.strip("`").partition("{")[0]
        values, settings = set(re.findall(r"`(\w+)`", text)), TenantSettings.model_fields.keys()
        assert values - settings == LABEL_VALUES.get(metric, set()) - settings, metric


def test_every_documented_metric_is_seen_by_a_test() -> None:
    files = [file for file in (ROOT / "tests").rglob("test_*.py") if file.parent != PAGES_OF_DOCS]
    tests = "\n".join(file.read_text(encoding="utf-8") for file in files)
    assert {name for name in re.findall(r"`(headcount_\w+)", PAGE) if name not in tests} == set()


def test_the_page_has_every_state_of_the_code_and_no_other() -> None:
    named = {state for row in rows("Import states") for state in re.findall(r"`(\w+)`", row[0])}
    assert named == {state.value for state in ImportState if state is not ImportState.ARRIVING}


@pytest.mark.parametrize("state", [state for state in ImportState if state is not ImportState.ARRIVING])
def test_every_documented_state_is_seen_by_a_test(state: ImportState) -> None:
    files = [file for file in (ROOT / "tests").rglob("test_*.py") if file.parent != PAGES_OF_DOCS]
    assert any(f'"{state}"' in (text := file.read_text(encoding="utf-8")) or state.name in text for file in files)


def test_every_setting_on_the_page_is_a_setting() -> None:
    names = {name.lower() for name in re.findall(r"`(?:HEADCOUNT_)?([A-Z][A-Z0-9]*_[A-Z0-9_]+)(?:=\w+)?`", PAGE)}
    assert "ssl_cert_file" in names
    assert names - ServerSettings.model_fields.keys() == {"ssl_cert_file"}


def test_every_command_on_the_page_is_a_command() -> None:
    found = re.findall(r"`headcount ([a-z]+)(?: ([a-z]+))?", PAGE)
    assert found
    for noun, verb in found:
        group = cli.get_command(click.Context(cli), noun)
        assert group, noun
        assert not verb or (isinstance(group, click.Group) and verb in group.commands), (noun, verb)


def test_every_name_on_the_page_is_in_the_code() -> None:
    """A metric, event, state, setting or code that is not built must not be documented."""
    metrics = set(re.findall(r"^# TYPE (headcount_\w+) ", Metrics().render().decode(), re.MULTILINE))
    states = {state.value for state in ImportState}
    known = metrics | states | logged() | TenantSettings.model_fields.keys() | CODES.keys()
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", PAGE))
    assert named - known == IN_ANSWERS - known
    assert all(in_code("server", f'"{name}"') or in_code("importer", f'"{name}"') for name in IN_ANSWERS)
