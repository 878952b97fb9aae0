"""The metrics, and the names that other programs rely on."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from engine.runs import Run
from importer.model import Counts, FileFacts, ImportState, Outcome
from importer.queue.entry import Entry
from server.upkeep.exposition import ByTenant
from server.upkeep.metrics import Metrics

FILE = FileFacts("sync_users.csv", 10, None, 6)
ENTRY = Entry(
    tenant="acme",
    id=1,
    state=ImportState.COMPLETED,
    dry_run=False,
    sequence=1,
    path="/sync_users.csv",
    file=FILE,
    uploaded_at="2026-03-01T12:00:00.000Z",
    finished_at="2026-03-01T12:00:01.500Z",
    outcome=Outcome(ImportState.COMPLETED, Counts(created=3, rejected=1, deactivated=2, deactivated_absent=2), FILE),
)


def shown(metrics: Metrics) -> dict[str, float]:
    lines = metrics.render().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("headcount_"))
    return {name: float(value) for name, value in pairs}


def test_an_applied_import_counts_its_rows_run_time_and_end() -> None:
    metrics = Metrics()
    metrics.import_ended(ENTRY, 0.2)
    now = shown(metrics)
    assert now['headcount_imports_total{state="completed",tenant="acme"}'] == 1
    assert now['headcount_import_rows_total{outcome="rejected",tenant="acme"}'] == 1
    assert now['headcount_import_rows_total{outcome="deactivated",tenant="acme"}'] == 2
    assert now["headcount_import_duration_seconds_count"] == 1
    assert now['headcount_import_last_success_timestamp_seconds{tenant="acme"}'] == 1772366401.5


def test_an_import_that_was_not_applied_counts_no_rows_and_no_success() -> None:
    metrics = Metrics()
    metrics.import_ended(replace(ENTRY, state=ImportState.HELD), 0.2)
    now = shown(metrics)
    assert now['headcount_imports_total{state="held",tenant="acme"}'] == 1
    assert not [name for name in now if "rows" in name or "import_last_success" in name]


def test_only_tenants_with_a_held_import_have_the_time_of_the_oldest() -> None:
    name, noon = "headcount_import_held_since_timestamp_seconds", "2026-03-01T12:00:00.000Z"
    metrics, seen = Metrics(), []
    for since in ({"acme": noon, "globex": noon}, {"acme": noon.replace("12", "13")}, {}):
        metrics.held(since)
        seen.append({key: value for key, value in shown(metrics).items() if key.startswith(name)})
    acme, globex = (f'{name}{{tenant="{tenant}"}}' for tenant in ("acme", "globex"))
    assert seen == [{acme: 1772366400, globex: 1772366400}, {acme: 1772370000}, {}]


def test_dry_runs_are_not_counted_in_the_import_metrics() -> None:
    metrics = Metrics()
    before = shown(metrics)
    metrics.import_ended(replace(ENTRY, dry_run=True), 0.2)
    assert shown(metrics) == before


def test_runs_of_hooks_are_counted_by_hook_tenant_and_state() -> None:
    metrics = Metrics()
    run = Run("acme", 7, "invoices", "/invoices/a.csv", ImportState.COMPLETED, 1, 5, "2026-03-01T12:00:00.000Z")
    for each in (run, run, replace(run, state=ImportState.FAILED), replace(run, hook="scans")):
        metrics.run_ended(each)
    now = shown(metrics)
    assert now['headcount_hook_runs_total{hook="invoices",state="completed",tenant="acme"}'] == 2
    assert now['headcount_hook_runs_total{hook="invoices",state="failed",tenant="acme"}'] == 1
    assert now['headcount_hook_runs_total{hook="scans",state="completed",tenant="acme"}'] == 1


def test_a_removed_tenant_has_no_user_metrics() -> None:
    metrics = Metrics()
    for tenant in ("acme", "globex"):
        metrics.count_users(tenant, {"active": 3, "deactivated": 1})
        metrics.succeeded(tenant, "2026-03-01T12:00:00.000Z")
    metrics.keep_only({"globex"})
    left = [name for name in shown(metrics) if "acme" in name or "globex" in name]
    assert len(left) == 3
    assert all("globex" in name for name in left)


def test_sftp_metrics_are_counted_by_tenant() -> None:
    metrics = Metrics()
    metrics.session_opened("acme")
    metrics.session_opened("acme")
    metrics.session_closed("acme")
    metrics.login("", "refused")
    metrics.transferred("acme", "in", 1000)
    metrics.upload("acme", "completed")
    now = shown(metrics)
    assert now['headcount_sftp_sessions{tenant="acme"}'] == 1
    assert now['headcount_sftp_logins_total{result="refused",tenant=""}'] == 1
    assert now['headcount_sftp_bytes_total{direction="in",tenant="acme"}'] == 1000
    assert now['headcount_uploads_total{result="completed",tenant="acme"}'] == 1


def test_every_promised_metric_exists() -> None:
    text = Metrics().render().decode()
    for name in (
        "headcount_imports",
        "headcount_import_rows",
        "headcount_import_duration_seconds",
        "headcount_import_queue_length",
        "headcount_import_last_success_timestamp_seconds",
        "headcount_users",
        "headcount_sftp_sessions",
        "headcount_sftp_logins",
        "headcount_sftp_bytes",
        "headcount_uploads",
        "headcount_bans_total",
        "headcount_banned_sources",
        "process_cpu_seconds_total",
        "python_info",
        "python_gc_objects_collected_total",
    ):
        assert f"# TYPE {name}" in text


@pytest.mark.parametrize("kind", ["counter", "gauge"])
def test_a_metric_of_tenants_is_written_as_the_library_writes_it(kind: Literal["counter", "gauge"]) -> None:
    registry = CollectorRegistry()
    theirs = {"counter": Counter, "gauge": Gauge}[kind]("headcount_x", "Its help", ["tenant", "a"], registry=registry)
    ours = ByTenant("headcount_x", "Its help", kind, ("tenant", "a"))
    assert without_created(generate_latest(registry)) == ours.render()
    values = (0, 1, 2.5, 999_999, 1_000_000, 1772366401.5, 1e21)
    for number, value in enumerate(values):
        labels = (f"company-{number}", 'a "b"\\\n')
        theirs.labels(*labels).inc(value)
        ours.add(value, *labels)
    assert without_created(generate_latest(registry)) == ours.render()


def test_a_metric_of_tenants_shows_the_newest_value_of_the_remaining_ones() -> None:
    metric = ByTenant("headcount_x", "Its help", "gauge", ("tenant",))
    for tenant in ("acme", "globex"):
        metric.set(1, tenant)
    metric.render()
    metric.add(2, "acme")
    metric.set(5, "globex")
    metric.remove("globex")
    assert metric.render().splitlines()[2:] == ['headcount_x{tenant="acme"} 3.0']
    metric.set(4, "globex")
    metric.set(1, "acme")
    assert metric.render().splitlines()[2:] == ['headcount_x{tenant="acme"} 1.0', 'headcount_x{tenant="globex"} 4.0']


def without_created(text: bytes) -> str:
    """Without the series that Headcount turns off."""
    return "".join(line for line in text.decode().splitlines(keepends=True) if "_created" not in line)
