"""The loop of a hook's process: it loads one module, then answers one request after the other until it is ended.

A request and its answer are each one line of JSON, on a socket that the server passed. Standard output and error
belong to the hook.
"""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import gc
import inspect
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Set
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from headcount.hooks import Declared, Result, Upload
from server.runs.python.answers import (
    LONGEST_ANSWER,
    Answer,
    Raised,
    accepted,
    delivery_of,
    raised,
    returned,
    to_json,
)
from server.runs.python.declarations import declarations
from server.runs.registry import Attempt

PR_SET_CHILD_SUBREAPER = 36
THREAD_ENDS_S = 0.1


def main(descriptor: int) -> None:
    """Serve the requests on a socket until the server closes it."""
    faulthandler.enable()  # a segmentation fault says where, on standard error
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # `_left_processes` finds orphans too
    _leave_sigterm_to_the_server()
    process = os.getpid()
    with socket.socket(fileno=descriptor) as control, control.makefile("rwb") as lines:
        task = json.loads(lines.readline())
        sys.path[:] = task["path"]
        if not task["hook"]:
            with suppress(BaseException):  # the server imports it next, and says what it raises
                import_module(task["module"])
            _send(lines, to_json(Result()))
            return
        declared = None
        try:
            declared = declared_in(task["module"], task["hook"])
        except BaseException as error:
            _send(lines, to_json(raised(error)))
        if declared is None:
            return
        gc.freeze()
        threads = _threads()
        _send(lines, to_json(Result()))  # it is ready
        for line in lines:
            answer = _answer(declared, json.loads(line))
            if os.getpid() != process:  # a copy of this process that the hook forked
                os._exit(0)
            for stream in (sys.stdout, sys.stderr):
                with suppress(Exception):
                    stream.flush()
            _send(lines, {**to_json(answer), "fit": _is_fit(answer, threads)})


def _leave_sigterm_to_the_server() -> None:
    """Ignore SIGTERM here, not in processes that a hook starts: `systemctl stop` may send it to all of the server."""

    def block() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def ignore(*_: object) -> None:
        pass

    def end_by_it() -> None:
        if signal.getsignal(signal.SIGTERM) is ignore:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        unblock()

    signal.signal(signal.SIGTERM, ignore)
    os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=end_by_it)


def declared_in(module: str, hook: str) -> Declared:
    """Return the hook of this name that is declared in a module. Raises LookupError, or what the import raises."""
    for declared in declarations(import_module(module)):
        if declared.name == hook:
            return declared
    raise LookupError(f"{module} declares no hook {hook}")


def _send(lines: Any, answer: dict[str, Any]) -> None:
    line = json.dumps(answer).encode()
    if len(line) > LONGEST_ANSWER:
        too_long = Raised(f"ValueError: the Result has more than {LONGEST_ANSWER:,} bytes", "", final=True)
        line = json.dumps({**to_json(too_long), "fit": answer.get("fit")}).encode()
    lines.write(line + b"\n")
    lines.flush()


def _answer(declared: Declared, request: dict[str, Any]) -> Answer:
    try:
        if (upload := request.get("accept")) is not None:
            assert declared.accept is not None
            return accepted(run(declared.accept, Upload(**{**upload, "_file": Path(upload["_file"])})))
        deliver = request["deliver"]
        attempt = Attempt(**{**deliver, "copy": Path(deliver["copy"]), "reports": Path(deliver["reports"])})
        return returned(run(declared.function, delivery_of(declared, attempt)))
    except BaseException as error:
        return raised(error)


def run(function: Callable[[Any], Any], argument: object) -> object:
    """Return what a function returns, in a thread or process without an event loop."""
    found = function(argument)
    return asyncio.run(found) if inspect.iscoroutine(found) else found


def _is_fit(answer: Answer, threads: Set[str]) -> bool:
    """Return whether this process can run the next delivery: it has memory, and nothing of the last one runs on.

    `threads` are those that it had before.
    """
    if isinstance(answer, Raised) and answer.error.startswith("MemoryError"):
        return False
    return not _left_processes() and not _left_threads(threads)


def _left_threads(before: Set[str]) -> bool:
    """Return whether threads were left behind. One that is just ending gets a moment."""
    until = time.monotonic() + THREAD_ENDS_S
    while _threads() - before:
        if time.monotonic() > until:
            return True
        time.sleep(0.001)
    return False


def _threads() -> Set[str]:
    """Return the threads of this process, also those that Python does not know; none if that cannot be read."""
    with suppress(OSError):
        return {*os.listdir("/proc/self/task")}
    return set()


def _left_processes() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
