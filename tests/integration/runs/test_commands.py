"""Hooks that are a command, with real programs: what they get, how they end, and that nothing of them is left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from headcount.hooks import Result
from server.runs.ends import Again, Done, End, Failed
from server.runs.outside.command import MAX_OUTPUT, CommandHook
from server.runs.registry import Attempt
from server.settings import environment_of_programs
from tests.support import ROOT
from tests.support.attempts import attempt_of
from tests.support.waiting import eventually, wait_until


def command(*arguments: str, timeout_s: float = 60) -> CommandHook:
    return CommandHook(arguments, environment_of_programs(), Path("/"), timeout_s)


async def run(script: str, attempt: Attempt, *, timeout_s: float = 60) -> End:
    """Run a script of Python as the command."""
    python = sys.executable, "-I", "-S", "-c", textwrap.dedent(script)
    return await command(*python, timeout_s=timeout_s).deliver(attempt)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def test_a_command_reads_the_file_on_standard_input(tmp_path: Path) -> None:
    content = os.urandom(300_000)
    attempt = attempt_of(tmp_path, content)
    assert await command("sha256sum").deliver(attempt) == Done(Result(f"{attempt.sha256}  -"))


async def test_a_command_gets_the_facts_and_nothing_else_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADCOUNT_SMTP_URL", "smtp://user:s3cret@example.com")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("TZ", "Europe/Zurich")
    attempt = attempt_of(tmp_path, b"abc", path="/invoices/März.csv", number=3)
    assert isinstance(await command("env", "-0").deliver(attempt), Done)
    printed = (attempt.reports / "output.txt").read_text()
    found = dict(line.split("=", 1) for line in printed.split("\0") if line)
    assert found == {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "TZ": "Europe/Zurich",
        "HEADCOUNT_TENANT": "acme",
        "HEADCOUNT_HOOK": "invoices",
        "HEADCOUNT_PATH": "/invoices/März.csv",
        "HEADCOUNT_NAME": "März.csv",
        "HEADCOUNT_SIZE": "3",
        "HEADCOUNT_SHA256": attempt.sha256,
        "HEADCOUNT_UPLOADED_AT": attempt.uploaded_at,
        "HEADCOUNT_ATTEMPT": "3",
        "HEADCOUNT_FILE": str(attempt.copy),
    }


async def test_a_server_without_a_locale_adds_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANG", "TZ", "PATH"):
        monkeypatch.delenv(name, raising=False)
    attempt = attempt_of(tmp_path, b"")
    assert isinstance(await command("env").deliver(attempt), Done)
    printed = (attempt.reports / "output.txt").read_text().splitlines()
    assert [line for line in printed if not line.startswith("HEADCOUNT_")] == [f"PATH={os.defpath}"]


@pytest.mark.parametrize("name", ["; touch pwned", "$(touch pwned)", "`touch pwned`", "--help", "a b'\"\n*"])
async def test_a_file_name_is_neither_an_argument_nor_a_shell_script(tmp_path: Path, name: str) -> None:
    script = "import os, sys; print(len(sys.argv), os.environ['HEADCOUNT_NAME'].encode().hex())"
    attempt = attempt_of(tmp_path, b"", path=f"/invoices/{name}")
    assert await run(script, attempt) == Done(Result(f"1 {name.encode().hex()}"))
    assert not Path("pwned").exists()


async def test_an_argument_of_the_list_is_passed_as_it_is(tmp_path: Path) -> None:
    attempt = attempt_of(tmp_path, b"")
    assert await command("printf", "%s|", "$HOME;*", "").deliver(attempt) == Done(Result("$HOME;*||"))


async def test_a_report_as_json_has_counts_and_messages(tmp_path: Path) -> None:
    printed = '{"counts": {"rows": 2}, "messages": [{"severity": "error", "message": "No amount.", "line": 2}]}'
    end = await command("printf", "%s", printed).deliver(attempt_of(tmp_path, b""))
    assert isinstance(end, Done)
    assert end.result.counts == {"rows": 2}
    assert [(each.severity, each.line) for each in end.result.messages] == [("error", 2)]
    assert list((tmp_path / "7.reports").iterdir()) == []


async def test_the_exit_code_decides_and_the_output_is_the_message(tmp_path: Path) -> None:
    attempt = attempt_of(tmp_path, b"")
    end = await run("import sys; print('The table is locked.'); sys.exit(75)", attempt)
    assert end == Again("The table is locked.", "exit code 75")
    end = await run("import sys; print('No amount.'); print('a\\nb', file=sys.stderr); sys.exit(3)", attempt)
    assert end == Failed("No amount.", "exit code 3: a")
    end = await run("import sys; sys.exit(1)", attempt)
    assert end == Failed("The program of this hook failed. Tell the operator.", "exit code 1")


@pytest.mark.logs("hook_failed")
async def test_the_log_has_the_exit_code_and_nothing_that_the_program_printed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await run("import sys; print('Ann'); print('Bob', file=sys.stderr); sys.exit(3)", attempt_of(tmp_path, b""))
    assert caplog.messages == ["The hook invoices failed: exit code 3."]
    assert (caplog.records[0].tenant, caplog.records[0].run_id) == ("acme", 7)  # type: ignore[attr-defined]


async def test_a_crash_is_tried_again(tmp_path: Path) -> None:
    end = await run("import os; os.kill(os.getpid(), 11)", attempt_of(tmp_path, b""))
    assert end == Again("The program of this hook was stopped or crashed.", "ended by SIGSEGV")


async def test_a_long_output_is_read_to_its_end_and_kept_beside_the_report(tmp_path: Path) -> None:
    attempt = attempt_of(tmp_path, b"")
    script = "import sys\nprint('3 stored.')\nfor _ in range(40): sys.stdout.write('x' * 2**20)"
    assert await run(script, attempt) == Done(Result("3 stored."))
    kept = (attempt.reports / "output.txt").read_bytes()
    assert kept == (b"3 stored.\n" + b"x" * MAX_OUTPUT)[:MAX_OUTPUT]


async def test_a_command_that_does_not_read_the_file_is_not_harmed(tmp_path: Path) -> None:
    assert await command("true").deliver(attempt_of(tmp_path, os.urandom(1_000_000))) == Done(Result())


async def test_a_command_that_does_not_end_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"""
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            os.setsid()
        print("started", flush=True)
        with open({str(pids)!r}, "a") as file:
            print(os.getpid(), file=file, flush=True)
        time.sleep(3600)
    """
    attempt = attempt_of(tmp_path, b"")
    for limit_s in (1, 8, 30):  # on a slow machine it needs longer to start
        end = await run(script, attempt, timeout_s=limit_s)
        reason = f"no end within {limit_s} seconds"
        assert end == Again(f"The program of this hook did not end within {limit_s} seconds.", reason)
        if pids.exists() and len(pids.read_text().split()) > 1:
            break
    assert all(gone(int(pid)) for pid in pids.read_text().split())
    assert (attempt.reports / "output.txt").read_text().startswith("started\n")


async def test_what_a_command_leaves_running_ends_with_it(tmp_path: Path) -> None:
    script = """
        import os, time
        child = os.fork()
        if child == 0:
            os.setsid()
            time.sleep(3600)
        print(child)
    """
    end = await run(script, attempt_of(tmp_path, b""))
    assert isinstance(end, Done)
    assert gone(int(end.result.message or ""))


async def test_a_stop_of_the_server_ends_the_command_first(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(3600)"
    running = asyncio.create_task(run(script, attempt_of(tmp_path, b"")))
    await eventually(lambda: pid_file.exists() and pid_file.read_text())
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    assert gone(int(pid_file.read_text()))


def test_a_killed_server_takes_the_command_with_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    server = f"""
        import asyncio, sys
        from pathlib import Path
        from server.runs.outside.command import CommandHook
        from tests.support.attempts import attempt_of
        folder = Path({str(tmp_path)!r})
        script = "import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(3600)"
        hook = CommandHook([sys.executable, "-c", script], {{"PATH": "/usr/bin"}}, folder, 3600)
        asyncio.run(hook.deliver(attempt_of(folder, b"")))
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(server)], cwd=ROOT)
    try:
        pid = int(wait_until(lambda: pid_file.exists() and pid_file.read_text()))
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: gone(pid))


async def test_a_program_that_is_missing_fails_the_run(tmp_path: Path) -> None:
    end = await command("/no/such/program").deliver(attempt_of(tmp_path, b""))
    assert isinstance(end, Failed)
    assert (end.error or "").startswith("exit code 127: /no/such/program: ")
