"""The event loop and thread switching of `headcount serve`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support import ROOT

SCRIPT = """
import asyncio, sys
from server import app
from server.cli.serve import serve

async def look(_settings):
    print(type(asyncio.get_running_loop()).__name__, sys.getswitchinterval() <= 0.001)

app.serve = look
serve.main([])
"""


def test_the_server_runs_its_own_loop_and_switches_threads_within_a_millisecond(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT]
    environment = {"HEADCOUNT_DATA_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    told = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    assert told.stdout.split() == ["ServerLoop", "True"]
