"""Every metric of docs/operating.md, as a running server shows it after the events that it counts."""

from __future__ import annotations

import asyncio
import math
import os
import re
from pathlib import Path

from headcount import __version__
from tests.support import ROOT
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.clients import needs
from tests.support.importing import people
from tests.support.monitored import BAN_S, ban, held_import, refused_login
from tests.support.server_process import ServerProcess
from tests.support.waiting import eventually, wait_until

PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
DOCUMENTED = set(
    re.findall(r"^\| `(headcount_\w+)", PAGE.partition("## Metrics")[2].partition("\n## ")[0], re.MULTILINE)
)


BACKUP = "headcount_backup_last_success_timestamp_seconds"


def shown(server: ServerProcess) -> dict[str, float]:
    """Return the samples of /metrics by name and labels."""
    pairs = (
        line.rsplit(" ", 1) for line in server.get("/metrics").text.splitlines() if line.startswith("headcount_")
    )
    return {name: float(value) for name, value in pairs}


def first_shown(server: ServerProcess, sample: str) -> float:
    """Return the first value of a sample: a scrape does not wait long for a slow database."""
    return wait_until(lambda: shown(server).get(sample), what=sample) or 0


async def _a_session(server: ServerProcess) -> None:
    """Log in, read a file, and see the session counted while it lasts."""
    async with server.connect("acme") as connection, connection.start_sftp_client() as sftp:
        await eventually(lambda: shown(server)['headcount_sftp_sessions{tenant="acme"}'] == 1)
        async with sftp.open("sync_users.csv", "rb") as file:
            assert await file.read()
    await eventually(lambda: shown(server)['headcount_sftp_sessions{tenant="acme"}'] == 0)


@needs("sftp")
def test_every_documented_metric_counts_its_events(tmp_path: Path) -> None:
    hooks = tmp_path / "hooks.toml"
    hooks.write_text(
        '[[hooks]]\nname = "filed"\npath = "/filed/*"\ncommand = ["true"]\n'
        '[[hooks]]\nname = "lost"\npath = "/lost/*"\ncommand = ["/no/such/program"]\n'
    )
    env = {
        "HEADCOUNT_HOOKS_FILE": str(hooks),
        "HEADCOUNT_PENALTY_REFUSED_S": BAN_S,
        "HEADCOUNT_SMTP_URL": "smtp://127.0.0.1:9",
        "HEADCOUNT_SMTP_FROM": "a@b.example",
    }
    with ServerProcess(tmp_path, env=env) as server:
        server.add_tenant("acme", stale_after_days="3", notify_email="grace@acme.example")
        server.add_tenant("globex", require_checksum="true")
        server.add_tenant("initech", deactivate_missing="true")
        content = people("ann", "bob")
        server.put("acme", content)
        assert server.wait("acme")["state"] == "completed"
        server.put("acme", b"1", "/filed/a")
        server.put("globex", people("ann"))
        held_import(server, "initech")
        disk = os.statvfs(tmp_path)  # that of the data folder, and of the folder for temporary files
        asyncio.run(_a_session(server))
        ban(server, "acme")
        limited = 'headcount_sftp_logins_total{result="limited",tenant=""}'
        before = shown(server).get(limited, 0)  # by a login that the database did not answer in time
        refused_login(server, "acme")
        expected = {
            f'headcount_build_info{{version="{__version__}"}}': 1,
            'headcount_imports_total{state="completed",tenant="acme"}': 1,
            'headcount_imports_total{state="held",tenant="initech"}': 1,
            'headcount_import_rows_total{outcome="created",tenant="acme"}': 2,
            "headcount_import_duration_seconds_count": 3,
            "headcount_import_queue_length": 1,
            "headcount_import_queue_postponed": 1,
            **{f'headcount_ready{{part="{part}"}}': 1 for part in ("sftp", "worker", "hooks", "database", "disk")},
            "headcount_hooks_broken": 1,
            'headcount_feed_stale{tenant="acme"}': 0,
            "headcount_tenants_broken": 0,
            'headcount_users{state="active",tenant="acme"}': 2,
            'headcount_sftp_sessions{tenant="acme"}': 0,
            'headcount_hook_runs_total{hook="filed",state="completed",tenant="acme"}': 1,
            'headcount_sftp_logins_total{result="accepted",tenant="acme"}': 3,
            'headcount_sftp_logins_total{result="refused",tenant="acme"}': 1,
            limited: before + 1,
            'headcount_sftp_bytes_total{direction="in",tenant="acme"}': len(content) + 1,
            'headcount_sftp_bytes_total{direction="out",tenant="acme"}': len(content),
            'headcount_uploads_total{result="completed",tenant="acme"}': 2,
            "headcount_bans_total": 1,
            "headcount_banned_sources": 1,
            "headcount_disk_size_bytes": float(disk.f_blocks * disk.f_frsize),
        }
        later = {
            'headcount_outbox_length{channel="mail"}': 1,
            'headcount_deliveries_total{channel="mail",result="failed"}': 1,
            'headcount_import_last_success_timestamp_seconds{tenant="acme"}': 1_700_000_000,
            'headcount_import_held_since_timestamp_seconds{tenant="initech"}': 1_700_000_000,
            "headcount_disk_free_bytes": 1_000,
        }
        wait_until(lambda: expected.items() <= shown(server).items(), what="the metrics")
        wait_until(lambda: all(shown(server).get(name, 0) >= value for name, value in later.items()), what="the rest")
        families = {name.partition("{")[0].removesuffix("_count") for name in (*expected, *later)}
        assert families == DOCUMENTED - {BACKUP}


def test_the_newest_backup_is_a_metric_where_headcount_makes_backups(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        if chosen_engine() != EMBEDDED:
            assert math.isnan(shown(server)[BACKUP])  # no alert of deploy/alerts.yaml fires then
            return
        assert shown(server)[BACKUP] == 0
        server.cli("backup", str(tmp_path / "backup"))
        assert shown(server)[BACKUP] >= 1_700_000_000


@needs("sftp")
def test_a_killed_server_counts_the_current_users_at_its_next_start(tmp_path: Path) -> None:
    active = 'headcount_users{state="active",tenant="acme"}'
    with ServerProcess(tmp_path) as server:
        server.add_tenant("acme")
        server.put("acme", people("ann", "ben"))
        assert server.wait("acme")["state"] == "completed"
        server.stop()
        server.start()  # the counts are stored by now
        assert first_shown(server, active) == 2
        server.put("acme", people("ann", "ben", "cy"))
        assert server.wait("acme")["state"] == "completed"
        server.kill()
        server.stored.change_users(
            "acme",
            "DELETE FROM users WHERE email = 'ann@example.com'",
            "UPDATE users SET state = 'deactivated' WHERE email = 'ben@example.com'",
        )
        server.start()
        assert first_shown(server, active) == 1
