"""The process of the server: its descriptor limit, its garbage collector, its lock on the data folder, its ports.

The lock allows one server a data folder. The kernel releases it when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import gc
import os
import resource
import sys
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path

COLLECT_AFTER = (50_000, 20, 50)
"""The thresholds of `gc.set_threshold`: new objects before a collection of the youngest generation, and how many
collections of a generation before one of the next."""

SWITCH_S = 0.0005
"""The longest time in seconds that a thread runs while others wait. At Python's 5 ms, a connection would wait so long
at each of its steps while an import computes."""

LOCK = "headcount.lock"
TRIES, PAUSE_S = 5, 0.1
"""Tries to lock, and seconds between them: `server_runs` in another process holds the lock for a moment."""


class InUse(Exception):  # noqa: N818 - named after the state
    """Another server runs on this data folder."""


class CannotListen(Exception):  # noqa: N818 - named after the state
    """The server cannot listen on an address and port; the message is a sentence."""


async def listening(starting: Awaitable[tuple[str, int]], host: str, port: int) -> tuple[str, int]:
    """Return the address and port of a listener that starts on these. Raises CannotListen."""
    try:
        return await starting
    except OSError as error:
        raise CannotListen(f"cannot listen on {host} port {port}: {error.strerror or error}") from error


def prepare() -> None:
    """Raise the descriptor limit and tune the garbage collector. Call it once, when all modules are loaded.

    A batch of rows is tens of thousands of objects that end together. With Python's thresholds, a sixth of the time
    of an import was spent looking for cycles that do not exist, mostly in modules that never change.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # 500 sessions with several handles each exceed the usual 1,024.
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    sys.setswitchinterval(SWITCH_S)


def descriptor_limit() -> int:
    """Return how many descriptors (files and connections) this process may have open."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if most == resource.RLIM_INFINITY else most


@contextmanager
def hold(data_dir: Path) -> Iterator[None]:
    """Hold the server's lock on `data_dir`. Raises InUse if another server holds it."""
    handle = _open(data_dir)
    try:
        for rest in reversed(range(TRIES)):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not rest:
                    raise InUse(
                        f"another server already runs on the data folder {data_dir.absolute()}. Stop it first"
                    ) from None
                time.sleep(PAUSE_S)
        yield
    finally:
        os.close(handle)


def server_runs(data_dir: Path) -> bool:
    """Return whether a server runs on `data_dir` now. Raises OSError if that cannot be seen. Changes nothing."""
    try:
        handle = os.open(data_dir / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _open(data_dir: Path) -> int:
    return os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
