"""Run the command line with a real terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from typing import Literal

from tests.support import ROOT

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def on_terminal(
    *arguments: str, columns: int = 80, stream: Literal["stdout", "stderr"] = "stdout", **environment: str
) -> str:
    """Run `headcount` with a terminal as `stream`; return everything that the terminal gets."""
    ours, its = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "TZ": "America/New_York", **environment}
    with subprocess.Popen(
        [sys.executable, "-m", "server", *arguments],
        cwd=ROOT,
        env=env,
        stdout=its if stream == "stdout" else subprocess.DEVNULL,
        stderr=its if stream == "stderr" else subprocess.DEVNULL,
    ):
        os.close(its)
        got = b""
        while part := _read(ours):
            got += part
    os.close(ours)
    return got.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # the command has ended
        return b""
