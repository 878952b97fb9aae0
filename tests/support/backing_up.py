"""A process that backs up whenever it is told to, each time in a child that a test can kill.

`python -m tests.support.backing_up DATA FOLDER` reads a line for each backup. It answers with the process id of the
child, and with its wait status when that has ended.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from ground.moments import utc_now
from server.backup.taking import back_up
from tests.support import ROOT


class BackingUp:
    """Such a process, for a test."""

    def __init__(self, data: Path, folder: Path) -> None:
        command = [sys.executable, "-m", "tests.support.backing_up", str(data), str(folder)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
        assert self._answer() == "ready"

    def __enter__(self) -> BackingUp:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def begin(self) -> int:
        """Begin a backup; return the id of its process."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._answer())

    def ended(self) -> int:
        """Wait for the end of the backup; return its exit code, or its signal as a negative number."""
        return os.waitstatus_to_exitcode(int(self._answer()))

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


def main(data: Path, folder: Path) -> None:
    """Back up for each line of stdin."""
    os.umask(0o077)
    print("ready", flush=True)
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                back_up(data, folder, utc_now())
                code = 0
            finally:
                os._exit(code)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
