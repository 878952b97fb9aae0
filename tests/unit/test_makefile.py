"""The output of make targets on a fresh machine, while they install, and the targets that CI runs."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from tests.support import ROOT


@pytest.mark.parametrize("target", ["demo", "test", "example", "dist"])
def test_every_long_step_of_the_makefile_is_announced(target: str) -> None:
    command = ["make", "--dry-run", "--always-make", "--no-print-directory", target]
    steps = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    installs = [number for number, step in enumerate(steps) if "pip install" in step or "-m venv" in step]
    assert len(installs) >= 3
    assert all(steps[number - 1].startswith(("echo 'Installing ", "echo 'Creating ")) for number in installs)


def test_programs_of_make_keep_their_compiled_modules() -> None:
    """Without these, every server that a test starts compiles all modules again."""
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    command = ["make", "--silent", "--eval", 'shown: ; @echo "value: $$PYTHONDONTWRITEBYTECODE"', "shown"]
    shown = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    assert shown == "value: \n"


@pytest.mark.parametrize("target", ["example", "dist"])
def test_ci_runs_what_needs_a_new_environment(target: str) -> None:
    steps = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(rf"^(beside {target} )?make {target}$", steps, re.MULTILINE)
