"""The real server, with a log of all that blocked its event loop: `python -m benchmarks.watched FILE serve`.

The server serves nothing else during a step, which is one callback of the loop, or while another thread keeps the
interpreter, as a long call into C does. So there are also looks: calls of the loop that are due every `LOOK_S`.

FILE gets one line of JSON for each step, and each delay of a look, that is longer than NOTED_S. A line has the end
(seconds since 1970), the length, the processor time and a name. The processor time of a step is that of the loop's
thread. That of a delay is of the whole process, because any thread may be the cause.
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
    """From now on, log what blocks the event loop of this process's main thread."""
    handle: Any = asyncio.Handle
    run = handle._run
    looks: list[_Looks] = []

    def note(held: float, worked: float, what: str) -> None:
        if held > NOTED_S:
            line = {"at": time.time(), "held_s": held, "cpu_s": min(held, worked), "what": what}
            print(json.dumps(line), file=notes, flush=True)

    def timed(self: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            run(self)  # the loop of an import, which serves no client
            return
        if not looks:
            looks.append(_Looks(self._loop, note))
        start, worked = time.perf_counter(), time.thread_time()
        run(self)
        note(time.perf_counter() - start, time.thread_time() - worked, repr(self))

    handle._run = timed


class _Looks:
    """Calls of the event loop, one after the other; each reports its delay."""

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
