"""Ctrl-C: it ends a command with one line on stderr and the exit code INTERRUPTED, at any moment."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

INTERRUPTED = 130
UNFLUSHED = 120
"""The exit code of Python itself if its last output cannot be written."""
SHOW_CURSOR = "\x1b[?25h"
"""A progress bar hides the cursor."""
_AS_JSON = '{"severity": "error", "code": "interrupted", "message": "interrupted"}'


@contextmanager
def loading() -> Iterator[None]:
    """Hold Ctrl-C back while modules are loaded, or a command begins: else it may end in another way."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextmanager
def cleaned(clean: Callable[[], None]) -> Iterator[None]:
    """Call `clean` at the end, and again in `run_to_exit` if Ctrl-C interrupts it."""
    _unclean.append(clean)
    try:
        yield
    finally:
        clean()
        _unclean.remove(clean)


_unclean: list[Callable[[], None]] = []


def run_to_exit(run: Callable[[], int]) -> NoReturn:
    """Exit with the code that `run` returns. After Ctrl-C, exit with INTERRUPTED, and print one line on stderr.

    Then no thread is waited for: the data of a command that is killed is complete too.
    """
    try:
        try:
            code = run()
        except KeyboardInterrupt:
            code = INTERRUPTED
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command has ended; only Python has work left
    except KeyboardInterrupt:
        code = INTERRUPTED
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if code == INTERRUPTED:
        for clean in _unclean:
            clean()
        line = _AS_JSON if "--json" in sys.argv else "Error: interrupted"
        with suppress(OSError):
            os.write(2, f"{SHOW_CURSOR if os.isatty(2) else ''}{line}\n".encode())
        os._exit(INTERRUPTED)
    if "obstore" in sys.modules:
        _end_beside_threads(code)
    sys.exit(code)


def _end_beside_threads(code: int) -> NoReturn:
    """Do what Python does at the end of a process, but for taking itself apart.

    obstore has threads of its own. One that still lets go of what it got from Python, or asks it for something, would
    abort the process then.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads of Python
    atexit._run_exitfuncs()
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except OSError:
        code = code or UNFLUSHED
    os._exit(code)
