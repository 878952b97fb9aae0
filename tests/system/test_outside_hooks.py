"""Commands and URLs as hooks of the real server: uploads over SFTP become runs, over stops and crashes."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from server.signing import signature
from tests.support import ROOT
from tests.support.clients import needs
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until
from tests.support.webhost import WebHost

pytestmark = needs("sftp")

COUNT = """
import json, os, sys
rows = sys.stdin.read().splitlines()[1:]
print(json.dumps({"message": f"{len(rows)} invoices counted.", "counts": {"rows": len(rows)}}))
"""
HANG = """
import os, sys, time
started = sys.argv[1]
with open(started, "a") as file:
    print(os.getpid(), os.environ["HEADCOUNT_ATTEMPT"], file=file, flush=True)
while not os.path.exists(started + ".go"):
    time.sleep(0.01)
print("Done.")
"""


def entry(name: str, path: str, *command: str, **more: str) -> str:
    """Return one entry of a file of hooks: a command, or a URL in `more`."""
    values = {"name": name, "path": path, **({"command": command} if command else {}), **more}
    return "[[hooks]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def python(script: str, *arguments: str) -> tuple[str, ...]:
    return sys.executable, "-I", "-S", "-c", script, *arguments


def server_with(folder: Path, *entries: str) -> ServerProcess:
    file = folder / "hooks.toml"
    file.write_text("\n".join(entries))
    env = {"HEADCOUNT_HOOKS_FILE": str(file), "HEADCOUNT_WEBHOOK_ALLOW_PRIVATE": "true"}
    return ServerProcess(folder, env=env)


def ended(server: ServerProcess, hook: str, run_id: int = 1, tenant: str = "acme") -> Any:
    """Wait for the report of a run in /results, and return it."""
    report = f"/results/{hook}-{run_id}.json"
    return json.loads(
        wait_until(lambda: server.stored.visible(tenant, report), what=f"run {run_id} of {hook} to end")
    )


def error_of(server: ServerProcess, hook: str) -> str | None:
    """Return what only the operator sees of the one run of a hook."""
    ((error),) = [run["error"] for run in server.runs("acme") if run["hook"] == hook]
    return None if error is None else str(error)


@pytest.fixture(scope="module")
def host() -> Iterator[WebHost]:
    with WebHost(lambda call: 404 if b"refused" in call.body else 204) as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, host: WebHost) -> Iterator[ServerProcess]:
    entries = (
        entry("counted", "/counted/*.csv", *python(COUNT)),
        entry("broken", "/broken/*.csv", "sh", "-c", "echo No amount on line 2.; echo Traceback >&2; exit 3"),
        entry("posted", "/posted/*.csv", url=host.url),
        entry("lost", "/lost/*.csv", "no-such-program"),
    )
    with server_with(tmp_path_factory.mktemp("server"), *entries) as running:
        running.add_tenant("acme")
        yield running
        assert running.stop() == 0


def test_a_file_is_handed_to_a_command_and_its_output_is_the_report(server: ServerProcess) -> None:
    server.put("acme", b"amount\n1\n2\n", "/counted/march.csv")
    report = ended(server, "counted")
    assert report["state"] == "completed"
    assert (report["hook"], report["path"], report["attempt"]) == ("counted", "/counted/march.csv", 1)
    assert (report["message"], report["counts"]) == ("2 invoices counted.", {"rows": 2})


def test_an_exit_code_fails_the_run_and_its_words_reach_the_tenant(server: ServerProcess) -> None:
    server.put("acme", b"amount\n\n", "/broken/march.csv")
    (run_id,) = [run["id"] for run in server.runs("acme") if run["hook"] == "broken"]
    report = ended(server, "broken", run_id)
    assert (report["state"], report["message"]) == ("failed", "No amount on line 2.")
    assert "Traceback" not in json.dumps(report)
    assert wait_until(lambda: error_of(server, "broken"), what="the end to be stored") == "exit code 3: Traceback"
    assert any(line.get("event") == "hook_failed" and line.get("hook") == "broken" for line in server.lines())


def test_a_file_is_posted_to_a_url_with_a_signature(server: ServerProcess, host: WebHost) -> None:
    server.put("acme", b"amount\n1\n", "/posted/march.csv")
    call = wait_until(lambda: next((each for each in host.calls if b"refused" not in each.body), None))
    assert call is not None
    assert call.body == b"amount\n1\n"
    assert call.headers["headcount-path"] == "/posted/march.csv"
    secret = server.cli("notify", "secret", "acme", "--json").json["secret"]
    at = int(call.headers["webhook-timestamp"])
    assert call.headers["webhook-signature"] == signature(secret, call.headers["webhook-id"], at, [call.body])
    run_id = int(call.headers["webhook-id"].split("_")[-2])
    assert ended(server, "posted", run_id)["state"] == "completed"


def test_a_command_that_is_missing_refuses_uploads_and_is_listed(server: ServerProcess) -> None:
    done = server.sftp("acme", f'put "{__file__}" /lost/march.csv')
    assert done.returncode != 0
    assert server.stored.visible("acme", "/lost/march.csv") is None
    listed = {each["name"]: each["error"] for each in server.cli("hook", "list", "--json").json}
    assert listed["lost"] == "the program no-such-program cannot be found or run"
    assert listed["counted"] is None


def test_the_worked_command_hands_the_file_to_another_program(tmp_path: Path) -> None:
    section = (ROOT / "docs/hooks.md").read_text().partition("### Another program")[2]
    script, toml = (section.partition(f"```{kind}\n")[2].partition("```")[0] for kind in ("sh", "toml"))
    inbox = tmp_path / "payroll"
    inbox.mkdir()
    (tmp_path / "hand_over.sh").write_text(script)
    (tmp_path / "hand_over.sh").chmod(0o755)
    with server_with(tmp_path, toml.replace("/srv/payroll", str(inbox))) as server:
        server.add_tenant("acme")
        server.put("acme", b"name,hours\nAnn,8\n", "/payroll/march.csv")
        report = ended(server, "payroll")
        assert (report["state"], report["message"]) == ("completed", "Handed to payroll.")
        (handed,) = inbox.iterdir()
        assert handed.name == f"acme-{report['file']['sha256']}.csv"
        assert handed.read_bytes() == b"name,hours\nAnn,8\n"


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_a_command_ends_with_the_server_and_its_file_is_delivered_again(tmp_path: Path, sign: signal.Signals) -> None:
    started = tmp_path / "started"
    starts = lambda: started.read_text().splitlines() if started.exists() else []  # noqa: E731
    with server_with(tmp_path, entry("slow", "/slow.csv", *python(HANG, str(started)))) as server:
        server.add_tenant("acme")
        server.put("acme", b"a\n", "/slow.csv")
        wait_until(lambda: len(starts()) == 1, what="the command to start")
        assert server.process
        server.process.send_signal(sign)
        if sign is signal.SIGTERM:
            wait_until(lambda: "stopping" in server.events())  # two signals that wait would be one
            server.process.send_signal(sign)  # the second one: at once
        server.process.wait()
        pid = starts()[0].split()[0]
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), what="the command to end")
        Path(f"{started}.go").touch()
        server.start()
        report = ended(server, "slow")
    assert (report["state"], report["message"]) == ("completed", "Done.")
    assert [line.split()[1] for line in starts()] == ["1", "1" if sign is signal.SIGTERM else "2"]


def runs(pid: int) -> bool:
    """Return whether a process has not ended, whether or not its parent knows."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_stop_of_all_processes_of_the_server_counts_no_attempt(tmp_path: Path) -> None:
    """As `systemctl stop` does by default."""
    started = tmp_path / "started"
    with server_with(tmp_path, entry("slow", "/slow.csv", *python(HANG, str(started)))) as server:
        server.add_tenant("acme")
        server.put("acme", b"a\n", "/slow.csv")
        wait_until(lambda: started.exists() and started.read_text().endswith("\n"), what="the command to start")
        assert server.process
        program = int(started.read_text().split()[0])
        keeper = int(Path(f"/proc/{program}/stat").read_text().rpartition(")")[2].split()[1])
        # The server last: it may see the end of the program first. The keeper may have seen it, too. The server waits
        # a second for its own signal, so it is frozen until that is there.
        server.freeze()
        os.kill(program, signal.SIGTERM)
        with suppress(ProcessLookupError):
            os.kill(keeper, signal.SIGTERM)
        wait_until(lambda: not runs(program) and not runs(keeper), what="both to end")
        server.thaw(signal.SIGTERM)
        assert server.process.wait() == 0
        Path(f"{started}.go").touch()
        server.start()
        assert ended(server, "slow")["state"] == "completed"
    assert [line.split()[1] for line in started.read_text().splitlines()] == ["1", "1"]
