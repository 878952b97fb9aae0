"""The simulation of `make soak`: some days without a difference, and faults that it finds."""

from __future__ import annotations

import subprocess
import sys

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
    assert " 4 kills, 2 backups, 1 drill, 1 restore, " in done.stdout
    assert done.stdout.endswith("no difference\n")


def test_the_soak_finds_each_fault_and_says_how_to_repeat_it() -> None:
    done = soak("--days", "1", "--seed", "1", "--fault", "user", "--fault", "file", "--fault", "import")
    assert done.returncode == 1, done.stdout + done.stderr
    lines = [line.strip() for line in done.stdout.splitlines() if line != "No disk can be mounted, so none is full."]
    assert lines[0] == "seed 1, day 0, 2030-01-03: a difference"  # whenever it runs
    assert "acme: last@acme.example is not stored" in lines
    assert "acme: kept files: not expected [999]" in lines
    assert "acme: listed imports: missing [1]" in lines
    assert lines[-1] == "again: make soak DAYS=1 SEED=1"
