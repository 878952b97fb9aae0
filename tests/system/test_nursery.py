"""A server of tests that is a fork does and ends as one that is a new interpreter."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.nursery import Forked
from tests.support.server_process import ServerProcess


@pytest.mark.parametrize("fresh", [True, False])
def test_a_server_of_tests_starts_stops_and_dies_alike(tmp_path: Path, fresh: bool) -> None:
    with ServerProcess(tmp_path, fresh=fresh) as server:
        assert server.process is not None
        assert isinstance(server.process, subprocess.Popen if fresh else Forked)
        assert server.process.poll() is None
        assert server.get("/readyz").status_code == 200
        assert server.stop() == 0
        assert server.events()[-2:] == ["stopping", "stopped"]
        server.start()
        server.kill()
        assert server.process.wait() == -9
        assert server.start().get("/readyz").status_code == 200


def test_two_forks_do_not_share_their_settings_or_ends(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with ServerProcess(tmp_path / "one") as one, ServerProcess(tmp_path / "two") as two:
        two.add_tenant("globex")
        assert one.http_port != two.http_port
        assert one.cli("tenant", "list", "--json").json == []
        assert one.stop() == 0
        assert two.get("/readyz").status_code == 200


def test_a_variable_that_acts_at_a_start_gets_a_new_interpreter(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, env={"TZ": "Europe/Berlin"}) as server:
        assert isinstance(server.process, subprocess.Popen)


def test_a_fork_that_cannot_start_is_reported_with_its_log(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, env={"HEADCOUNT_SFTP_PORT": "no-port"})
    with pytest.raises(AssertionError, match="HEADCOUNT_SFTP_PORT"):
        server.start()
    assert server.died() == 1
