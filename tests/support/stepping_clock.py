"""A clock of a server process that steps while it runs, by libfaketime.

    clock = SteppingClock(tmp_path)
    with ServerProcess(tmp_path, env=clock.env) as server:
        clock.step(timedelta(days=-7))

The monotonic clock, and all waits in the process, do not step, as for a real process. Mark a test that uses one with
`needs("faketime")`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path


class SteppingClock:
    """A clock that is right at first; the steps add up."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self._off = timedelta()
        self.step(timedelta())

    def step(self, by: timedelta) -> None:
        """Step the clock of the process, forward or back. It has stepped when this returns."""
        self._off += by
        new = self._file.with_name("clock.new")  # a half-written file would not be a time
        new.write_text(f"{self._off.total_seconds():+.0f}\n")
        new.replace(self._file)

    @property
    def env(self) -> Mapping[str, str]:
        """The environment to start the process with."""
        library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
        if library is None:
            raise LookupError("libfaketime is not where Debian puts it: mark the test with needs('faketime')")
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
