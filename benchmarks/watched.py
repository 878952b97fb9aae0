"""The real server, with a note of all that held its event loop: `python -m benchmarks.watched FILE serve`.

Nothing else is served while a step lasts, which is one callback of the loop; nor while another thread keeps the
interpreter for itself, as a long call into C does. So beside the steps there are looks: calls of the loop that are
due every few milliseconds.

One line of JSON in FILE for each step, and for each look's delay, of more than NOTED_S: its end (seconds since 1970),
its length, what of it may have been processor time, and what it was. Of a step that is the time of the loop's thread;
of a delay that of the whole process, since any thread may have been the cause.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from typing import Any, TextIO

NOTED_S = 0.005
LOOK_S = 0.005
LATE = "a look, late"


def watch(notes: TextIO) -> None:
    """Note what holds the event loop of this process's main thread from now on."""
    handle: Any = asyncio.Handle
    run = handle._run
    looks: list[_Looks] = []

    def note(held: float, worked: float, what: str) -> None:
        if held > NOTED_S:
            line = {"at": time.time(), "held_s": held, "cpu_s": min(held, worked), "what": what}
            print(json.dumps(line), file=notes, flush=True)

    def timed(self: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            run(self)  # of an import's own loop, which serves no client
            return
        if not looks:
            looks.append(_Looks(self._loop, note))
        start, worked = time.perf_counter(), time.thread_time()
        run(self)
        note(time.perf_counter() - start, time.thread_time() - worked, repr(self))

    handle._run = timed


class _Looks:
    """Calls of the event loop, one after the other, each of which says how much later than due it came."""

    def __init__(self, loop: asyncio.AbstractEventLoop, note: Any) -> None:
        self._loop = loop
        self._note = note
        self._wait()

    def _wait(self) -> None:
        self._due, self._worked = time.perf_counter() + LOOK_S, time.process_time()
        self._loop.call_later(LOOK_S, self._look)

    def _look(self) -> None:
        self._note(time.perf_counter() - self._due, time.process_time() - self._worked, LATE)
        self._wait()


def main() -> None:
    from server.__main__ import main as serve

    path = sys.argv.pop(1)
    with open(path, "w") as notes:
        watch(notes)
        serve()


if __name__ == "__main__":
    main()
