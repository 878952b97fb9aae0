"""A real Prometheus scrapes a real server that has done real work: it answers the dashboard and the alerts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import ROOT
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.clients import needs
from tests.support.dashboards import filled_in, of_variables, queries
from tests.support.importing import people
from tests.support.mailserver import MailHost
from tests.support.monitored import BAN_S, ban, held_import
from tests.support.prometheus import Prometheus
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until

PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
RULES = (ROOT / "deploy" / "alerts.yaml").read_text(encoding="utf-8")
ALERTS = [rule for group in yaml.safe_load(RULES)["groups"] for rule in group["rules"]]
OF_THE_MACHINE = {"HeadcountDiskNearlyFull"}
"""Alerts that may be due on the machine of a developer."""
CRITICAL = [
    each for each in ALERTS if each["labels"]["severity"] == "critical" and each["alert"] not in OF_THE_MACHINE
]
QUERIES = list(queries())
ON_EVENTS = {"Starts"} if chosen_engine() == EMBEDDED else {"Starts", "Newest backup"}
"""Queries that have no sample while all is well; Headcount backs up no other engine."""

pytestmark = needs("prometheus", "sftp")


def scrape_of_page(server: ServerProcess, token: Path) -> dict[str, Any]:
    """Return the job that the page shows, with the address of `server` and the file of its token."""
    shown = re.search(r"```yaml\n(scrape_configs:\n.+?)```", PAGE, re.DOTALL)
    assert shown
    text = shown[1].replace("127.0.0.1:8080", f"127.0.0.1:{server.http_port}")
    (job,) = yaml.safe_load(text.replace("/etc/prometheus/headcount.token", str(token)))["scrape_configs"]
    return dict(job)


def work(server: ServerProcess) -> None:
    """Let imports, runs, logins, a ban, a mail and, where there is one, a backup leave their marks."""
    server.add_tenant("acme", stale_after_days="3", notify_email="grace@acme.example")
    server.add_tenant("globex", deactivate_missing="true")
    server.put("acme", people("ann", "bob"))
    assert server.wait("acme")["state"] == "completed"
    server.put("acme", b"1", "/filed/a")
    server.put("globex", b"no,such,header\n1,2,3\n")
    assert server.wait("globex")["state"] == "failed"
    held_import(server, "globex")
    assert server.sftp("acme", f'get /sync_users.csv "{server.folder}/got.csv"').returncode == 0
    ban(server, "acme")
    if chosen_engine() == EMBEDDED:  # Headcount backs up no other engine
        server.cli("backup", str(server.folder / "backup"))


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Such a Prometheus. It reads the rules, and scrapes with the operator's token."""
    folder = tmp_path_factory.mktemp("monitored")
    hooks, token = folder / "hooks.toml", folder / "headcount.token"
    hooks.write_text('[[hooks]]\nname = "filed"\npath = "/filed/*"\ncommand = ["true"]\n')
    with MailHost(folder) as mail:
        env = {
            "HEADCOUNT_HOOKS_FILE": str(hooks),
            "HEADCOUNT_METRICS_AUTH": "operator",
            "HEADCOUNT_PENALTY_REFUSED_S": BAN_S,
            "HEADCOUNT_SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
            "HEADCOUNT_SMTP_FROM": "headcount@sftp.example",
        }
        with ServerProcess(folder, env=env) as server:
            token.write_text(server.cli("token", "create", "--operator").text)
            scrape = scrape_of_page(server, token)
            with Prometheus(folder / "prometheus", scrape, RULES) as prometheus:
                work(server)
                done = 'headcount_bans_total > 0 and on () headcount_hook_runs_total{state="completed"} > 0'
                wait_until(lambda: prometheus.query(done), what="a scrape after the work")
                twice = 'count_over_time(headcount_hook_runs_total{state="completed"}[1m]) > 1'
                wait_until(lambda: prometheus.query(twice), what="a rate of each counter")
                yield prometheus


@pytest.mark.parametrize(("panel", "query"), QUERIES, ids=[f"{name}-{n}" for n, (name, _) in enumerate(QUERIES)])
def test_every_query_of_the_dashboard_is_answered(prometheus: Prometheus, panel: str, query: str) -> None:
    assert panel in ON_EVENTS or wait_until(lambda: prometheus.query(filled_in(query)), what=query)
    prometheus.query(filled_in(query))


def test_every_variable_of_the_dashboard_has_values(prometheus: Prometheus) -> None:
    found = {label: prometheus.label_values(samples, label) for samples, label in of_variables()}
    assert found.keys() == {"instance", "tenant"}
    assert found["tenant"] == ["acme", "globex"]
    assert len(found["instance"]) == 1


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_metric_of_an_alert_is_scraped(prometheus: Prometheus, alert: dict[str, Any]) -> None:
    prometheus.query(alert["expr"])
    metrics = set(re.findall(r"\b(?:headcount|process)_\w+|\bup\b", alert["expr"]))
    assert metrics
    wait_until(lambda: all(prometheus.query(metric) for metric in metrics), what=f"samples of {metrics}")


@pytest.mark.parametrize("alert", CRITICAL, ids=lambda alert: alert["alert"])
def test_no_critical_alert_is_due_while_all_is_well(prometheus: Prometheus, alert: dict[str, Any]) -> None:
    wait_until(lambda: prometheus.query(alert["expr"]) == [], what=f"{alert['alert']} to clear")
