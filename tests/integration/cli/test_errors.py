"""Commands print errors on stderr, wherever the data is: with what to do, and all of them at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.cli import run_cli
from tests.support.installation import Installation, installation


@pytest.fixture(autouse=True)
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    stored = installation(tmp_path / "data")
    stored.use(monkeypatch)
    return stored


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder of the commands."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_command_warns_if_no_server_runs(stored: Installation) -> None:
    run_cli("tenant", "add", "acme")
    warning = f"Warning: no server runs on {stored.name}\n"
    for command in (("tenant", "list"), ("tenant", "set", "acme", "max_sessions=3"), ("key", "list", "acme")):
        assert run_cli(*command).warned == warning
    with stored.served():
        assert run_cli("tenant", "list").warned == ""


def test_a_command_that_needs_no_ssh_does_not_import_it(here: Path) -> None:
    run_cli("tenant", "add", "acme")
    script = "import sys; from server.cli import main; main(['tenant', 'list']); print('asyncssh' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    assert ("acme" in ran.stdout, ran.stdout.splitlines()[-1]) == (True, "False")


def test_with_json_every_line_on_stderr_is_an_object_with_a_code(here: Path) -> None:
    assert run_cli("tenant", "add", "acme").code == 0

    def error(*command: str, code: int = 1) -> dict[str, object]:
        ran = run_cli(*command, "--json")
        assert (ran.code, ran.out) == (code, b"")
        assert [json.loads(line)["code"] for line in ran.warned.splitlines()] in ([], ["no_server"])
        told: dict[str, object] = json.loads(ran.err)
        return told

    assert error("tenant", "show", "globex") == {
        "severity": "error",
        "code": "no_tenant",
        "message": "there is no tenant globex; see: headcount tenant list",
    }
    assert error("tenant", "show", code=2)["code"] == "usage"
    assert error("tenant", "add", "x", "--key", "none.pub")["code"] == "failed"
    wrong = error("tenant", "set", "acme", "max_sesions=3", "quota_files=lots")
    assert (wrong["code"], wrong["errors"]) == (
        "unknown_setting",
        [
            {"name": "max_sesions", "detail": "there is no tenant setting max_sesions; did you mean max_sessions?"},
            {"name": "quota_files", "detail": "must be a whole number, not “lots”"},
        ],
    )


def test_all_wrong_settings_are_named_at_once(here: Path) -> None:
    assert run_cli("tenant", "add", "acme").code == 0
    (here / "acme.toml").write_text("max_sesions = 3\nquota_files = 'lots'\nretention_days = 0\n")
    ran = run_cli("tenant", "load", "acme", "acme.toml")
    assert (ran.code, ran.err.splitlines()) == (
        1,
        [
            "Error: 3 settings are not valid. Nothing was done",
            "  max_sesions: there is no tenant setting max_sesions; did you mean max_sessions?",
            "  retention_days: must be at least 1, not 0",
            "  quota_files: must be a whole number, not “lots”",
        ],
    )


def test_all_wrong_settings_of_the_server_are_named_at_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "headcount.toml").write_text("sftp_prot = 22\nmax_handles = -1\n")
    monkeypatch.setenv("HEADCOUNT_CONFIG", str(here / "headcount.toml"))
    monkeypatch.setenv("HEADCOUNT_SFTP_PORT", "ssh")
    ran = run_cli("serve")
    assert (ran.code, ran.err.splitlines()) == (
        1,
        [
            "Error: 3 settings are not valid. Nothing was done",
            "  HEADCOUNT_SFTP_PORT: must be a whole number, not “ssh”",
            f"  max_handles in {here}/headcount.toml: must be at least 1, not -1",
            f"  sftp_prot in {here}/headcount.toml: is not a setting; did you mean sftp_port?",
        ],
    )


def test_a_misspelled_command_is_refused_with_the_nearest() -> None:
    ran = run_cli("tenent", "list")
    assert (ran.code, ran.out) == (2, b"")
    assert "Did you mean 'tenant'?" in ran.err


@pytest.mark.parametrize(("words", "offered"), [("headcount ten", "tenant"), ("headcount tenant sh", "show")])
def test_a_shell_completes_commands(words: str, offered: str) -> None:
    env = {**os.environ, "_HEADCOUNT_COMPLETE": "bash_complete", "COMP_WORDS": words}
    env["COMP_CWORD"] = str(len(words.split()) - 1)
    ran = subprocess.run(
        [sys.executable, "-m", "server"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.stdout, ran.stderr) == (f"plain,{offered}\n", "")
