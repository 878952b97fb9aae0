"""The real server, with a note of every step that held its event loop: `python -m benchmarks.watched FILE serve`.

A step is one callback of the loop: nothing else is served meanwhile. One line of JSON in FILE for each that took
longer than NOTED_S: its end (seconds since 1970), its length, what of it was processor time of the loop's thread,
and what it was.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, TextIO

NOTED_S = 0.005


def watch(notes: TextIO) -> None:
    """Note the steps of every event loop of this process from now on."""
    handle: Any = asyncio.Handle
    run = handle._run

    def timed(self: Any) -> None:
        start, worked = time.perf_counter(), time.thread_time()
        run(self)
        held = time.perf_counter() - start
        if held > NOTED_S:
            note = {"at": time.time(), "held_s": held, "cpu_s": time.thread_time() - worked, "what": repr(self)}
            print(json.dumps(note), file=notes, flush=True)

    handle._run = timed


def main() -> None:
    from server.__main__ import main as serve

    path = sys.argv.pop(1)
    with open(path, "w") as notes:
        watch(notes)
        serve()


if __name__ == "__main__":
    main()
