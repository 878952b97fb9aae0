"""Ctrl-C ends a command with 130 and one line, whatever it does."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.cli import run_cli
from tests.support.waiting import DEADLINE_S, wait_until

MOMENTS = 40
LINES = {
    (): "Error: interrupted\n",
    ("--json",): '{"severity": "error", "code": "interrupted", "message": "interrupted"}\n',
}


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEADCOUNT_DATA_DIR", str(tmp_path / "data"))
    assert run_cli("tenant", "add", "acme").code == 0
    return tmp_path / "data"


def started(*command: str, stdin: int | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "server", *command],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        stdin=stdin,
    )


def interrupted(running: subprocess.Popen[str], times: int = 1) -> tuple[int, str]:
    """Send SIGINT; return the exit code, and stderr without the warnings about the data folder."""
    for _ in range(times):
        running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=DEADLINE_S)
    return running.returncode, "".join(
        line for line in err.splitlines(keepends=True) if "no server runs on the data folder" not in line
    )


def loaded(running: subprocess.Popen[str], part: str) -> bool:
    """Return whether the process has loaded a library with this in its name, or has ended."""
    try:
        return part in Path(f"/proc/{running.pid}/maps").read_text() or running.poll() is not None
    except OSError:
        return True


def moments() -> Iterator[tuple[str, float]]:
    """Yield libraries that a command loads early and late, each with a delay after that in seconds."""
    rng = random.Random(21)
    for number in range(MOMENTS):
        yield ("_pydantic_core", "_sqlite3")[number % 2], rng.uniform(0, 0.4)


def test_an_interrupt_at_any_moment_ends_with_130_and_one_line() -> None:
    seen = set()
    for part, delay in moments():
        with started("tenant", "show", "acme") as running:
            wait_until(partial(loaded, running, part), DEADLINE_S, f"{part} to be loaded")
            with suppress(subprocess.TimeoutExpired):
                running.wait(delay)
            seen.add(interrupted(running))
    assert seen <= {(0, ""), (130, LINES[()])}
    assert (130, LINES[()]) in seen


@pytest.mark.parametrize("options", LINES)
def test_a_command_that_reads_stdin_can_be_interrupted(options: tuple[str, ...]) -> None:
    readable, writable = os.pipe()
    try:
        with started("check", "acme", "-", *options, stdin=readable) as running:
            wait_until(lambda: loaded(running, "_sqlite3"), DEADLINE_S, "the command to be loaded")
            assert interrupted(running) == (130, LINES[options])
    finally:
        os.close(readable)
        os.close(writable)


def test_a_second_interrupt_adds_no_line_and_leaves_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    readable, writable = os.pipe()
    try:
        with started("check", "acme", "-", stdin=readable) as running:
            wait_until(lambda: list((tmp_path / "temporary").glob("*/upload.csv")), DEADLINE_S, "stdin to be read")
            assert interrupted(running, times=2) == (130, LINES[()])
            assert list((tmp_path / "temporary").iterdir()) == []
    finally:
        os.close(readable)
        os.close(writable)
