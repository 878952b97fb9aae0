"""docs/hooks.md leads from an empty folder to an installed hook, followed letter by letter."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.clients import MISSING, needs
from tests.support.prometheus import free_port
from tests.support.steps import Step, files, section, steps
from tests.support.waiting import wait_until
from tests.support.wheels import build_wheel, write_constraints

PAGE = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
PATH = section(PAGE, "From an empty folder to an installed hook")
EXAMPLE = ROOT / "deploy" / "examples" / "invoices"
OFFLINE = re.compile("Could not find a version|Failed to establish a new connection|Temporary failure in name")
START_S = 60.0
OUTPUT_S = 60.0


class Reader:
    """Follows the steps in an empty folder. The ports are the only change: others may be in use."""

    def __init__(self, folder: Path, constraints: Path) -> None:
        self.folder = folder
        self.port = free_port()
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("HEADCOUNT_", "PYTHON"))}
        python = Path(sys.base_prefix, "bin")
        self.env = {
            **outside,
            "PATH": f"{python}:{os.environ['PATH']}",
            "PIP_CONSTRAINT": str(constraints),
            "PIP_NO_COMPILE": "1",
            "HEADCOUNT_SFTP_PORT": str(self.port),
            "HEADCOUNT_HTTP_PORT": "0",
            "HEADCOUNT_SFTP_HOST": "127.0.0.1",
        }
        self.servers: list[subprocess.Popen[bytes]] = []
        self.newest = ""

    def follow(self, step: Step) -> None:
        if step.name is not None:
            (self.folder / step.name).write_text(step.content, encoding="utf-8")
        elif step.kind == "commands" and "Start a server" in step.prose:
            self.serve(step.content)
        elif step.kind == "commands":
            self.run(step.content)
            self.newest = step.content.splitlines()[-1]
        elif step.kind == "output":
            self.wait_for(step.content)
        else:
            raise AssertionError(f"the reader does not know what to do with {step.content}")

    def wait_for(self, expected: str) -> None:
        """Repeat the newest command until it prints what the page says: a hook needs a moment."""
        printed = self.run(self.newest)
        deadline = time.monotonic() + OUTPUT_S
        while seen(printed) != seen(expected) and time.monotonic() < deadline:
            printed = self.run(self.newest)
        assert seen(printed) == seen(expected)

    def run(self, commands: str) -> str:
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self._commands(commands)],
            cwd=self.folder, env=self.env, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        if ran.returncode and OFFLINE.search(ran.stderr):
            pytest.skip(f"{MISSING}PyPI, from which the test installs packages")
        assert ran.returncode == 0, f"{commands}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    def serve(self, command: str) -> None:
        log = self.folder.parent / "server.log"
        with log.open("wb") as errors:
            server = subprocess.Popen(
                ["bash", "-c", f"exec env {command}"], cwd=self.folder, env=self.env, stderr=errors
            )
            self.servers.append(server)
        wait_until(lambda: b"listening " in log.read_bytes(), START_S, "the server to be ready")

    def _commands(self, text: str) -> str:
        return text.replace("-P 2222 ", f"-P {self.port} ")


def seen(text: str) -> list[list[str]]:
    """Return the words of each line: the widths of columns differ."""
    return [line.split() for line in text.splitlines() if line.strip()]


@contextmanager
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Yield a reader in an empty folder with Headcount's wheel."""
    built, folder = tmp_path / "built", tmp_path / "empty"
    built.mkdir()
    folder.mkdir()
    wheel = build_wheel(built)
    wheel.rename(folder / wheel.name)
    found = Reader(folder, write_constraints(built))
    try:
        yield found
    finally:
        for server in found.servers:
            server.send_signal(signal.SIGTERM)
            server.wait(START_S)


@needs("sftp", "ssh-keygen")
def test_a_reader_of_the_page_has_a_tested_and_installed_hook(tmp_path: Path) -> None:
    with reader(tmp_path) as follower:
        for step in steps(PATH):
            follower.follow(step)


def test_the_files_of_the_page_are_those_of_the_example() -> None:
    assert files(PATH) == {
        name: (EXAMPLE / name).read_text(encoding="utf-8")
        for name in ("headcount_invoices.py", "test_headcount_invoices.py", "pyproject.toml")
    }
