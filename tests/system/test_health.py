"""Health checks and metrics over HTTP, and who may read them."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from ground.moments import from_rfc3339
from tests.support.clients import needs
from tests.support.importing import people
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until

NONE_BROKEN = {"tenants_broken": 0, "hooks_broken": 0}


@needs("sftp")
def test_a_server_reports_ready_and_its_metrics_survive_a_restart(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, env={"HEADCOUNT_METRICS_AUTH": "operator"}, fresh=True) as server:
        assert server.get("/healthz").status_code == 200
        ready = server.get("/readyz")
        assert (ready.status_code, ready.json()) == (
            200,
            {
                "ready": True,
                "sftp": True,
                "worker": True,
                "hooks": True,
                "database": True,
                "disk": True,
                **NONE_BROKEN,
            },
        )

        server.add_tenant("acme")
        operator = server.cli("token", "create", "--operator").text.strip()
        owner = server.cli("token", "create", "acme", "--role", "owner").text.strip()
        assert server.get("/metrics").status_code == 401
        assert server.get("/metrics", Authorization=f"Bearer {owner}").status_code == 401
        assert server.get("/metrics", Authorization=f"Bearer {operator}").status_code == 200

        server.put("acme", people("ann", "bob"))
        report = server.wait("acme")
        server.stop()
        with pytest.raises(httpx.ConnectError):
            server.get("/healthz")

        server.start()
        text = server.get("/metrics", Authorization=f"Bearer {operator}").text
        assert 'headcount_users{state="active",tenant="acme"} 2.0' in text
        moment = next(
            line for line in text.splitlines() if line.startswith("headcount_import_last_success_timestamp")
        )
        assert float(moment.split()[1]) == pytest.approx(from_rfc3339(report["finished_at"]).timestamp())


def test_the_metrics_show_that_headcount_db_cannot_be_written(tmp_path: Path) -> None:
    works, fails = (f'headcount_ready{{part="database"}} {value}' for value in ("1.0", "0.0"))
    with ServerProcess(tmp_path) as server:
        assert works in server.get("/metrics").text
        with server.stored.holding_writes():
            wait_until(lambda: fails in server.get("/metrics").text, what="the database to be down")
        wait_until(lambda: works in server.get("/metrics").text, what="the database to be up")
