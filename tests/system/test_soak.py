"""The simulation of `make soak`: some days without a difference, and faults that it finds."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support import ROOT

SEED = 196
"""Its first five days have kills, a stop, a backup, a drill, a restore and a full disk."""


def soak(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.soak", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def test_days_of_operation_are_as_a_plain_model_says() -> None:
    done = soak("--days", "5", "--seed", str(SEED))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"5 days, seed {SEED}: ")
    assert done.stdout.endswith("no difference\n")


@pytest.mark.parametrize(
    ("fault", "difference"),
    [("user", "acme: last@acme.example is not stored"), ("file", "acme: kept files: not expected [999]")],
)
def test_the_soak_finds_a_fault_and_says_how_to_repeat_it(fault: str, difference: str) -> None:
    done = soak("--days", "1", "--seed", "1", "--fault", fault)
    assert done.returncode == 1, done.stdout + done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert difference in lines
    assert "again: make soak DAYS=1 SEED=1" in lines
