"""The alerts of deploy/alerts.yaml: promtool's tests of each, and the chief ones with their real causes."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.backup.selecting import NEWEST
from tests.support import ROOT
from tests.support.clients import client, needs
from tests.support.importing import people
from tests.support.mailserver import MailHost
from tests.support.monitored import held_import
from tests.support.prometheus import Prometheus, free_port, scrape_of
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until

RULES = ROOT / "deploy" / "alerts.yaml"
SHORT = {
    "headcount_import_held_since_timestamp_seconds > 24 * 3600": "headcount_import_held_since_timestamp_seconds > 1",
    "[6h] offset 26h": "[10s]",
    "[5m:15s]": "[3s:1s]",
    "[15m]": "[10s]",
    "[1h]": "[10s]",
    "offset 1h": "offset 10s",
}
"""Times of the rules that a test cannot wait for."""

pytestmark = needs("prometheus", "promtool", "sftp")


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([client("promtool"), *arguments], capture_output=True, text=True, check=False)


def test_prometheus_reads_the_rules() -> None:
    checked = promtool("check", "rules", RULES)
    assert checked.returncode == 0, checked.stderr
    assert "lint error" not in checked.stderr


def test_every_alert_fires_and_clears_in_the_tests_of_promtool() -> None:
    tested = promtool("test", "rules", RULES.with_name("alerts.test.yaml"))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def at_once() -> str:
    """Return the rules with short times: an alert fires at the first scrape that shows its cause."""
    text = re.sub(r"^ +for: .*\n", "", RULES.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for long, short in SHORT.items():
        assert long in text
        text = text.replace(long, short)
    return text


@pytest.fixture(scope="module")
def mail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailHost]:
    with MailHost(tmp_path_factory.mktemp("mail")) as mail:
        yield mail


@pytest.fixture(scope="module")
def server(mail: MailHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("server")
    env = {
        "HEADCOUNT_HTTP_PORT": str(free_port()),
        "HEADCOUNT_HOOKS_FILE": str(folder / "hooks.toml"),
        "HEADCOUNT_SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
        "HEADCOUNT_SMTP_FROM": "headcount@sftp.example",
    }
    (folder / "hooks.toml").write_text('[[hooks]]\nname = "filed"\npath = "/filed/*"\ncommand = ["false"]\n')
    with ServerProcess(folder, env=env) as server:
        yield server


@pytest.fixture(scope="module")
def prometheus(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with Prometheus(tmp_path_factory.mktemp("alerts") / "prometheus", scrape_of(server), at_once()) as prometheus:
        wait_until(
            lambda: prometheus.query("up == 1"), what="the first scrape: a count that it has seen can increase"
        )
        yield prometheus


@pytest.mark.only_on("sqlite", "no other engine has a tenant alone that is broken")
def test_a_broken_tenant_fires_until_it_is_repaired(server: ServerProcess, prometheus: Prometheus) -> None:
    server.add_tenant("broken")
    users = server.files("broken").users_db
    users.rename(users.with_name("moved"))
    assert server.sftp("broken", "ls").returncode != 0
    prometheus.fires("HeadcountTenantsBroken", severity="critical")
    users.with_name("moved").rename(users)
    prometheus.clears("HeadcountTenantsBroken")


def test_a_held_import_fires_until_it_is_decided(server: ServerProcess, prometheus: Prometheus) -> None:
    server.add_tenant("held", deactivate_missing="true")
    held_import(server, "held")
    prometheus.fires("HeadcountImportHeld", tenant="held")
    server.cli("import", "discard", "held")
    prometheus.clears("HeadcountImportHeld")


def test_the_first_failed_import_of_a_tenant_fires_until_one_is_applied(
    server: ServerProcess, prometheus: Prometheus
) -> None:
    server.add_tenant("failing")
    server.put("failing", b"no,such,header\n1,2,3\n")
    assert server.wait("failing")["state"] == "failed"
    prometheus.fires("HeadcountImportsFailing", tenant="failing", summary="The imports of failing fail")
    server.put("failing", people("ann"))
    assert server.wait("failing")["state"] == "completed"
    prometheus.clears("HeadcountImportsFailing")


def test_an_import_that_cannot_run_fires_until_it_runs(server: ServerProcess, prometheus: Prometheus) -> None:
    server.add_tenant("stuck")
    with server.stored.writing_users("stuck"):
        server.put("stuck", people("ann"))
        prometheus.fired("HeadcountQueueStuck")  # it waits in the queue for 1, 2 and 4 seconds, between tries of 10
    assert server.wait("stuck")["state"] == "completed"
    prometheus.clears("HeadcountQueueStuck")


def test_a_stale_feed_fires_until_a_file_is_applied(server: ServerProcess, prometheus: Prometheus) -> None:
    server.add_tenant("stale", stale_after_days="3")
    server.stored.date_tenants("2026-03-01T12:00:00.000Z", "stale")
    prometheus.fires("HeadcountFeedStale", tenant="stale")
    server.put("stale", people("ann"))
    assert server.wait("stale")["state"] == "completed"
    prometheus.clears("HeadcountFeedStale")


def test_a_mail_that_is_refused_for_good_fires_for_a_while(
    server: ServerProcess, prometheus: Prometheus, mail: MailHost
) -> None:
    mail.answer = lambda _: "550 5.1.1 no such user"
    server.add_tenant("unread", notify_email="grace@unread.example")
    server.put("unread", b"")
    prometheus.fired("HeadcountMessagesGivenUp", channel="mail")
    prometheus.clears("HeadcountMessagesGivenUp")


def test_a_database_that_cannot_be_written_fires_until_it_can(server: ServerProcess, prometheus: Prometheus) -> None:
    with server.stored.holding_writes():
        prometheus.fires("HeadcountNotReady", part="database")
    prometheus.clears("HeadcountNotReady")


@pytest.mark.only_on("sqlite", "Headcount backs up no other engine")
def test_a_backup_that_is_missing_or_old_fires_until_one_is_made(
    server: ServerProcess, prometheus: Prometheus, tmp_path: Path
) -> None:
    prometheus.fires("HeadcountNeverBackedUp")
    server.cli("backup", str(tmp_path / "backup"))
    prometheus.clears("HeadcountNeverBackedUp")
    (server.data / NEWEST).write_text("2026-03-01T02:30:00.000Z\n")
    prometheus.fires("HeadcountBackupOld", severity="warning")
    prometheus.fires("HeadcountBackupMissing", severity="critical")
    server.cli("backup", str(tmp_path / "backup"))
    prometheus.clears("HeadcountBackupOld")
    prometheus.clears("HeadcountBackupMissing")


def test_the_first_failed_run_of_a_hook_fires_for_a_while(server: ServerProcess, prometheus: Prometheus) -> None:
    server.add_tenant("filing")
    server.put("filing", b"1", "/filed/a")
    prometheus.fired("HeadcountHookRunsFailing", hook="filed", tenant="filing")
    prometheus.clears("HeadcountHookRunsFailing")


def test_a_broken_hook_and_a_stopped_server_fire_until_they_run(
    server: ServerProcess, prometheus: Prometheus
) -> None:
    hooks = server.folder / "hooks.toml"
    good = hooks.read_text()
    hooks.write_text(good.replace('"false"', '"/no/such/program"'))
    server.stop()
    prometheus.fires("HeadcountDown")
    server.start()
    prometheus.clears("HeadcountDown")
    prometheus.fires("HeadcountHooksBroken")
    hooks.write_text(good)
    server.stop()
    server.start()
    prometheus.clears("HeadcountHooksBroken")
