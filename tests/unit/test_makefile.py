"""The output of make targets on a fresh machine, while they install, and the targets that CI runs."""

from __future__ import annotations

import subprocess

import pytest

from tests.support import ROOT


@pytest.mark.parametrize("target", ["demo", "test", "example"])
def test_every_long_step_of_the_makefile_is_announced(target: str) -> None:
    command = ["make", "--dry-run", "--always-make", "--no-print-directory", target]
    steps = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    installs = [number for number, step in enumerate(steps) if "pip install" in step or "-m venv" in step]
    assert len(installs) >= 3
    assert all(steps[number - 1].startswith(("echo 'Installing ", "echo 'Creating ")) for number in installs)


def test_ci_tests_the_example_of_a_hook() -> None:
    assert "\nmake example\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
