"""Run the command line with a real terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
from typing import Literal

from tests.support import nursery

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def on_terminal(
    *arguments: str, columns: int = 80, stream: Literal["stdout", "stderr"] = "stdout", **environment: str
) -> str:
    """Run `headcount` with a terminal as `stream`; return everything that the terminal gets."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {**os.environ, "TERM": "xterm", "TZ": "America/New_York", **environment}
    env.pop("COLUMNS", None)  # it wins over the terminal
    with open(os.devnull, "wb") as nothing:
        other = nothing.fileno()
        ran = nursery.run(arguments, env, *((its, other) if stream == "stdout" else (other, its)))
    os.close(its)
    got = b""
    while part := _read(ours):
        got += part
    ran.wait()
    os.close(ours)
    return got.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # the command has ended
        return b""
