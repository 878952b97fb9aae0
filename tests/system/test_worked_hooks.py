"""The worked hooks of docs/hooks.md do what the page says. The first one is in tests/system/test_hooks_docs.py."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headcount.testing import running
from tests.support import ROOT
from tests.support.clients import client, needs
from tests.support.server_process import ServerProcess
from tests.support.steps import files, section
from tests.support.waiting import wait_until

PAGE = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
SIGNATURE = "44d88612fea8a8f36de82e1278abb02f:68:Eicar-Test\n"
"""MD5, size and name: the only signature of the scanner in this test."""

VIRUS = "The file contains a virus. Clean the computer that it comes from."


def accepts(path: Path) -> bool:
    """Return whether a program listens on the socket at `path`: it is there a moment earlier."""
    with socket.socket(socket.AF_UNIX) as trying:
        return trying.connect_ex(str(path)) == 0


@pytest.fixture(scope="module")
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the configuration of a running clamd."""
    folder = tmp_path_factory.mktemp("clamd")
    (folder / "signatures").mkdir()
    (folder / "signatures" / "eicar.hdb").write_text(SIGNATURE)
    config, place = folder / "clamd.conf", folder / "clamd.socket"
    config.write_text(f"LocalSocket {place}\nDatabaseDirectory {folder / 'signatures'}\nForeground yes\n")
    with subprocess.Popen([client("clamd"), "--config-file", config], stdout=subprocess.DEVNULL) as daemon:
        try:
            wait_until(lambda: accepts(place), 60, "clamd to listen")
            yield config
        finally:
            daemon.kill()


def scanned(folder: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the module of the page, which scans with the clamd of this configuration."""
    monkeypatch.setenv("CLAMD_CONFIG", str(config))
    file = folder / "scanned.py"
    file.write_text(files(section(PAGE, "A virus scanner"))["scanned.py"])
    spec = importlib.util.spec_from_file_location("scanned", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@needs("clamd", "clamdscan")
def test_an_infected_file_is_refused_and_the_old_file_stays(
    clamd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(hooks=[scanned(tmp_path, clamd, monkeypatch).documents]) as server:
        clean = server.put("acme", "/documents/letter.pdf", b"Dear Ada")
        infected = server.put("acme", "/documents/letter.pdf", EICAR)
        kept = server.read("acme", "/documents/letter.pdf")
    assert clean.state == "completed"
    assert (infected.state, infected.message) == ("aborted", VIRUS)
    assert kept == b"Dear Ada"


@needs("clamd", "clamdscan")
def test_no_file_passes_while_the_scanner_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "clamd.conf"
    config.write_text(f"LocalSocket {tmp_path / 'nothing'}\n")
    with running(hooks=[scanned(tmp_path, config, monkeypatch).documents]) as server:
        run = server.put("acme", "/documents/letter.pdf", b"Dear Ada")
        with pytest.raises(FileNotFoundError):
            server.read("acme", "/documents/letter.pdf")
    assert run.state == "aborted"
    assert "connect to clamd" in (run.error or "")


@needs("sftp")
def test_a_command_hands_a_file_to_another_program(tmp_path: Path) -> None:
    inbox = tmp_path / "payroll"
    for name, content in files(section(PAGE, "Another program")).items():
        (tmp_path / name).write_text(content.replace("/srv/payroll", str(inbox)))
    (tmp_path / "hand_over.sh").chmod(0o755)
    with ServerProcess(tmp_path, env={"HEADCOUNT_HOOKS_FILE": str(tmp_path / "hooks.toml")}) as server:
        server.add_tenant("acme")
        server.put("acme", b"a,b\n1,2\n", "/payroll/march; rm -rf $HOME.csv")
        waits = ended(server, 1, "queued", attempt=1)
        inbox.mkdir()
        server.put("acme", b"a,b\n3,4\n", "/payroll/april.csv")
        done = [ended(server, run, "completed") for run in (1, 2)]
    assert waits["message"] == "The program of this hook asks for another attempt."
    assert [run["message"] for run in done] == ["Handed to payroll."] * 2
    names = sorted(f"acme-{run['file']['sha256']}.csv" for run in done)
    assert sorted(file.name for file in inbox.iterdir()) == names


def ended(server: ServerProcess, run: int, state: str, attempt: int = 0) -> Any:
    """Wait until a run is in a state after this many attempts; return its report."""

    def found() -> Any:
        reports = server.cli("hook", "runs", "acme", "--json").json
        return next((r for r in reports if r["id"] == run and r["state"] == state and r["attempt"] >= attempt), None)

    # The second attempt comes after ten seconds, the third a minute later.
    return wait_until(found, 150, f"run {run} to be {state}")
