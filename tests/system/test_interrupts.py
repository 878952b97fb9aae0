"""Ctrl-C ends a command with 130 and one line, whatever it does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.cli import run_cli
from tests.support.installation import installation
from tests.support.waiting import DEADLINE_S, wait_until

MOMENTS = 16
"""In all: each of LINES has its share."""
ROUNDS = 6
DRIVER = "_sqlite3" if chosen_engine() == EMBEDDED else "libpq"
"""A part of the name of a library that a command loads when it opens what is stored."""
LINES = {
    (): "Error: interrupted\n",
    ("--json",): '{"severity": "error", "code": "interrupted", "message": "interrupted"}\n',
}


@pytest.fixture(autouse=True)
def not_ignored() -> Iterator[None]:
    """Let SIGINT reach the commands, also if a shell started the tests in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    installation(tmp_path / "data").use(monkeypatch)
    assert run_cli("tenant", "add", "acme").code == 0
    return tmp_path / "data"


def started(*command: str, stdin: int | None = None, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "headcount", *command],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=stdout,
        text=True,
        start_new_session=True,
        stdin=stdin,
    )


def interrupted(running: subprocess.Popen[str]) -> tuple[int, str]:
    """Send SIGINT; return the exit code, and stderr without the warnings that no server runs."""
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=DEADLINE_S)
    return running.returncode, "".join(
        line for line in err.splitlines(keepends=True) if "no server runs on " not in line
    )


def loaded(running: subprocess.Popen[str], part: str) -> bool:
    """Return whether the process has loaded a library with this in its name, or has ended."""
    try:
        return part in Path(f"/proc/{running.pid}/maps").read_text() or running.poll() is not None
    except OSError:
        return True


def copied_or_ended(running: subprocess.Popen[str], temporary: Path) -> bool:
    """Return whether a check copies its file. Its copy is gone when it has ended."""
    return running.poll() is not None or any(temporary.glob("*/upload.csv"))


def moments(first: int, *command: str) -> Iterator[float]:
    """Yield a share of MOMENTS delays in seconds, from the start of a command to its end; its first is `first`."""
    began = time.monotonic()
    with started(*command) as running:
        running.communicate(timeout=DEADLINE_S)
    lasted = time.monotonic() - began
    yield from (lasted * number / MOMENTS for number in range(first, MOMENTS, len(LINES)))


@contextmanager
def full_pipe() -> Iterator[int]:
    """Yield a pipe to which a command writes nothing: it waits until the block is left."""
    readable, writable = os.pipe()
    try:
        os.set_blocking(writable, False)
        with suppress(BlockingIOError):
            while True:
                os.write(writable, bytes(4096))
        os.set_blocking(writable, True)
        yield writable
    finally:
        os.close(readable)
        os.close(writable)


def of_python(code: int, err: str) -> bool:
    """Return whether Python was interrupted while it started: before the first line of `headcount.__main__.main`."""
    if code not in (-signal.SIGINT, 1):
        return False
    ours = re.search(rf'File "{re.escape(str(ROOT))}/.*, in (?!<module>)', err)
    return not err or ("Traceback (most recent call last)" in err and not ours)


@pytest.mark.parametrize("options", LINES)
def test_an_interrupt_at_any_moment_ends_with_130_and_one_line(options: tuple[str, ...]) -> None:
    command = ("tenant", "show", "acme", *options)
    ends = set()
    for delay in moments([*LINES].index(options), *command):
        with started(*command) as running:
            with suppress(subprocess.TimeoutExpired):
                running.wait(delay)
            end = interrupted(running)
            if not of_python(*end):
                ends.add(end)
    assert ends <= {(0, ""), (130, LINES[options])}


@pytest.mark.parametrize("options", LINES)
def test_a_command_that_cannot_print_can_be_interrupted(options: tuple[str, ...]) -> None:
    with full_pipe() as pipe, started("tenant", "show", "acme", *options, stdout=pipe) as running:
        wait_until(lambda: loaded(running, DRIVER), DEADLINE_S, "the command to be loaded")
        assert interrupted(running) == (130, LINES[options])


@pytest.mark.parametrize("options", LINES)
def test_a_command_that_reads_stdin_can_be_interrupted(options: tuple[str, ...]) -> None:
    readable, writable = os.pipe()
    try:
        with started("check", "acme", "-", *options, stdin=readable) as running:
            wait_until(lambda: loaded(running, DRIVER), DEADLINE_S, "the command to be loaded")
            assert interrupted(running) == (130, LINES[options])
    finally:
        os.close(readable)
        os.close(writable)


def test_any_number_of_interrupts_leaves_no_copy_of_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (temporary := tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    file = tmp_path / "users.csv"
    file.write_text("email,first_name,last_name\n" + "".join(f"u{n}@e.com,Ann,Lee\n" for n in range(20_000)))
    codes = set()
    for number in range(ROUNDS):
        # The first one reads stdin, which has no end: so it is surely interrupted.
        name, stdin = (str(file), subprocess.DEVNULL) if number else ("-", subprocess.PIPE)
        with started("check", "acme", name, stdin=stdin) as running:
            wait_until(lambda: copied_or_ended(running, temporary), DEADLINE_S, "the file to be copied")
            pause_s = number / 2 / ROUNDS
            while running.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    running.wait(pause_s)
                running.send_signal(signal.SIGINT)
                pause_s = 0.01  # as a key that is held down
            code, err = interrupted(running)
        assert (code, err[-len(LINES[()]) :]) in {(0, ""), (130, LINES[()])}
        assert list(temporary.iterdir()) == []
        codes.add(code)
    assert 130 in codes
