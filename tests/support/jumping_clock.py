"""A clock of server processes that a program sets while they run: days pass in no time, and the wall clock steps.

    clock = JumpingClock(folder / "clock")
    with ServerProcess(folder, env=clock.env):  # or in os.environ before the first server starts
        clock.let_pass(timedelta(days=1))

The time is in a file that all these processes map into their memory. The nursery installs the clock before it imports
any module of the server, so all of them get the functions below.

libfaketime cannot do this. Where it leaves the monotonic clock alone, version 0.9.10 takes the ends of waits on that
clock for times of the wall clock. Then `time.sleep` fails, and threads that wait for the interpreter spin: a server
with several busy threads gets little done, least with PostgreSQL.
"""

from __future__ import annotations

import mmap
import struct
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

PLACE = "JUMPING_CLOCK"
"""The variable with the path of the file."""

_OFFSETS = struct.Struct("=qq")
"""Nanoseconds that the wall clock and the monotonic clock are ahead of the real ones."""


class JumpingClock:
    """The clocks, for the program that sets them. Both are right at first."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.write_bytes(bytes(_OFFSETS.size))
        self._offsets = _mapped(place)

    def let_pass(self, span: timedelta) -> None:
        """Let `span` pass on both clocks. Waits of the servers end early where they are not over by themselves."""
        self._add(span, span)

    def step(self, span: timedelta) -> None:
        """Step the wall clock, forward or back; no time passes."""
        self._add(span, timedelta())

    def be_right(self) -> None:
        """Let both clocks show the real times again."""
        _OFFSETS.pack_into(self._offsets, 0, 0, 0)

    @property
    def env(self) -> Mapping[str, str]:
        """The environment of a server with this clock."""
        return {PLACE: str(self.place)}

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(microseconds=_OFFSETS.unpack_from(self._offsets)[0] // 1000)

    def _add(self, wall: timedelta, steady: timedelta) -> None:
        before = _OFFSETS.unpack_from(self._offsets)
        more = (span // timedelta(microseconds=1) * 1000 for span in (wall, steady))
        _OFFSETS.pack_into(self._offsets, 0, *(old + new for old, new in zip(before, more, strict=True)))


def install(place: Path, *, everywhere: bool = True) -> None:
    """Let `ground.moments.utc_now` of this process follow the clock, and `everywhere` also the module `time`.

    Modules that were imported before would keep the real clock.
    """
    early = [name for name in sys.modules if name.partition(".")[0] in ("ground", "importer", "engine", "server")]
    assert not early, f"imported before the clock was installed: {early}"
    offsets = _mapped(place)
    if everywhere:
        _install_in_time(offsets)
    from ground import moments

    moments.utc_now = lambda: datetime.now(UTC) + timedelta(microseconds=_OFFSETS.unpack_from(offsets)[0] // 1000)


def _install_in_time(offsets: mmap.mmap) -> None:
    wall, wall_ns, steady = time.time, time.time_ns, time.monotonic
    time.time = lambda: wall() + _OFFSETS.unpack_from(offsets)[0] / 1e9
    time.time_ns = lambda: wall_ns() + int(_OFFSETS.unpack_from(offsets)[0])
    time.monotonic = lambda: steady() + _OFFSETS.unpack_from(offsets)[1] / 1e9


def _mapped(place: Path) -> mmap.mmap:
    with place.open("r+b") as file:
        return mmap.mmap(file.fileno(), _OFFSETS.size)
