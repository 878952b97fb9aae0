"""Notes of a server that is killed, and the processes that it leaves."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path

from tests.support.waiting import DEADLINE_S


class Notes:
    """A file to which a server adds a line when a phase begins: the time and the name of the phase."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_from = 0

    def skip(self) -> None:
        """Leave out all phases that have begun until now."""
        self._read_from = self.path.stat().st_size if self.path.exists() else 0

    def begun(self) -> list[tuple[float, str]]:
        """Return the phases that have begun since `skip`, with their times."""
        text = self.path.read_bytes()[self._read_from :].decode() if self.path.exists() else ""
        lines = text.splitlines()
        return [(float(at), name) for at, _, name in (line.partition(" ") for line in lines)]

    def names(self) -> list[str]:
        return [name for _, name in self.begun()]

    def wait_for(self, phases: Collection[str], count: int = 1) -> None:
        """Wait until one of these phases has begun `count` times. Raises AssertionError after the deadline."""
        deadline = time.monotonic() + DEADLINE_S
        while sum(name in phases for name in self.names()) < count:
            assert time.monotonic() < deadline, f"the server has not reached: {phases}"
            time.sleep(0.0005)  # looks more often than other waits: phases are short


def processes_of(folder: Path) -> list[int]:
    """Return the processes that run with `folder` in their environment."""
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdecimal():
            try:
                if bytes(folder) in (each / "environ").read_bytes():
                    found.append(int(each.name))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
    return found
