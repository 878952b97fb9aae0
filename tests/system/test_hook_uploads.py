"""Uploads to hooks on the real server: kills while a hook decides, modules that no longer load, off and on again."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT
from tests.support.clients import client, needs
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until

pytestmark = needs("sftp")

ENDS = ("completed", "aborted")

MODULE = """
import os, time
from pathlib import Path
from headcount import Delivery, Upload, hook

PLACE = Path(os.environ["PLACE"])


def check(upload: Upload) -> None:
    (PLACE / "asked").write_text(str(os.getpid()))
    while (PLACE / "hold").exists():
        time.sleep(0.05)


@hook("/scans/*", name="scans", accept=check, accept_timeout_s=300)
def scans(delivery: Delivery) -> None:
    with (PLACE / "delivered").open("a") as notes, delivery.open() as file:
        notes.write(f"{delivery.path} {file.read().decode()}\\n")
"""


class Scanning:
    """The server with a hook whose `accept` takes as long as the file `hold` is there, and a tenant `acme`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.module = folder / "hooks_of_acme.py"
        self.module.write_text(MODULE)
        given = {
            "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PLACE": str(folder),
            "HEADCOUNT_HOOKS": "hooks_of_acme",
        }
        self.server = ServerProcess(folder, env=given)

    @property
    def visible(self) -> bytes | None:
        return self.server.stored.visible("acme", "/scans/a")

    def runs(self) -> list[tuple[int, str, str | None]]:
        """Return id, state and message of each run, oldest first."""
        found = json.loads(self.server.cli("hook", "runs", "acme", "--json").text)
        return [(run["id"], run["state"], run["message"]) for run in reversed(found)]

    def delivered(self) -> list[str]:
        notes = self.folder / "delivered"
        return notes.read_text().splitlines() if notes.exists() else []

    def ran(self, *delivered: str) -> None:
        """Wait until these files were delivered, and all runs have ended: a kill or stop before would repeat one."""
        wait_until(lambda: self.delivered() == list(delivered), what="the delivery")
        wait_until(lambda: all(state in ENDS for _, state, _ in self.runs()), what="the end of the run")

    def begin(self, *commands: str) -> subprocess.Popen[bytes]:
        """Let OpenSSH's sftp begin, and return when the hook decides on its file."""
        (self.folder / "hold").touch()
        (self.folder / "asked").unlink(missing_ok=True)
        batch = self.folder / "batch"
        batch.write_text("".join(f"{line}\n" for line in commands))
        line = [client("sftp"), *self.server.options("acme"), "-b", str(batch), "acme@127.0.0.1"]
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.asked, what="the hook to be asked")
        return process

    def asked(self) -> int | None:
        """Return the process id of the hook that decides on a file; None if none does."""
        note = self.folder / "asked"
        return int(text) if note.exists() and (text := note.read_text()) else None

    def report(self, run_id: int) -> Any:
        return json.loads(self.server.stored.visible("acme", f"/results/scans-{run_id}.json") or b"")


@pytest.fixture
def scanning(tmp_path: Path) -> Iterator[Scanning]:
    made = Scanning(tmp_path)
    with made.server as server:
        server.add_tenant("acme")
        yield made


@pytest.mark.parametrize("way", ["close", "rename"])
def test_a_server_killed_while_a_hook_decides_keeps_the_old_file(scanning: Scanning, way: str) -> None:
    server = scanning.server
    server.put("acme", b"old", "/scans/a")
    scanning.ran("/scans/a old")
    local = scanning.folder / "new"
    local.write_bytes(b"new")
    commands = {"close": (f'put "{local}" /scans/a',), "rename": (f'put "{local}" /part', "rename /part /scans/a")}
    process = scanning.begin(*commands[way])
    asked = scanning.asked()
    assert asked
    if way == "close":
        wait_until(lambda: server.stored.noted("acme") == 3, what="the size to be noted")
    server.kill()
    assert process.wait(60) != 0
    wait_until(lambda: not Path(f"/proc/{asked}").exists(), what="the process of the hook to end with the server")
    (scanning.folder / "hold").unlink()
    server.start()
    assert scanning.visible == b"old"
    assert server.stored.unfinished("acme") == []
    if way == "close":
        ran, broken = scanning.runs()
        assert (ran, broken[:2]) == ((1, "completed", None), (2, "aborted"))
        assert "interrupted after 3 bytes (the server stopped during the upload)" in str(broken[2])
        assert scanning.report(2)["state"] == "aborted"
    else:
        assert scanning.runs() == [(1, "completed", None)]
        assert server.stored.visible("acme", "/part") == b"new"
    server.put("acme", b"again", "/scans/a")
    wait_until(lambda: scanning.delivered() == ["/scans/a old", "/scans/a again"], what="the delivery")


def test_imports_land_while_a_hook_decides_on_another_file(scanning: Scanning) -> None:
    server = scanning.server
    local = scanning.folder / "new"
    local.write_bytes(b"new")
    process = scanning.begin(f'put "{local}" /scans/a')
    server.put("acme", b"first_name,last_name,email\nAda,Lovelace,ada@example.org\n")
    assert server.wait("acme")["state"] == "completed"
    assert process.poll() is None
    (scanning.folder / "hold").unlink()
    assert process.wait(60) == 0
    wait_until(lambda: scanning.delivered() == ["/scans/a new"], what="the delivery")


def test_a_module_that_no_longer_loads_refuses_uploads_until_it_does(scanning: Scanning) -> None:
    server = scanning.server
    server.put("acme", b"one", "/scans/a")
    scanning.ran("/scans/a one")
    server.stop()
    scanning.module.write_text("import not_there_at_all\n")
    server.start()
    local = scanning.folder / "new"
    local.write_bytes(b"two")
    assert server.sftp("acme", f'put "{local}" /scans/a').returncode != 0
    assert scanning.visible == b"one"
    (listed,) = [run for run in scanning.runs() if run[1] == "aborted"]
    assert "The hook scans cannot be used" in str(listed[2])
    assert scanning.report(listed[0])["message"] == listed[2]
    server.put("acme", b"plain", "/other")
    server.stop()
    scanning.module.write_text(MODULE)
    server.start()
    server.put("acme", b"two", "/scans/a")
    wait_until(lambda: scanning.delivered() == ["/scans/a one", "/scans/a two"], what="the delivery")
