"""`make demo ONCE=1` shows what the README says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT
from tests.support.clients import needs


@needs("sftp")
def test_the_demo_shows_a_correct_a_changed_and_a_held_import(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, ROOT / "deploy" / "demo" / "demo.py", "--once"],
        env={**os.environ, "TMPDIR": str(tmp_path), "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    monday, tuesday, wednesday = re.split(r"── (?:Tuesday|Wednesday)", run.stdout)
    assert "completed_with_errors" in monday
    assert "2023-02-29" in monday
    assert "deactivated" in tuesday
    assert "held" in wednesday
    assert not list(tmp_path.iterdir()), "the demo left files behind"
