"""What the server asks of its process and its data folder: enough open files, a calm garbage collector, to be alone.

One server a data folder: a lock that the kernel gives back when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import gc
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COLLECT_AFTER = (50_000, 20, 50)
"""Objects made before the youngest are looked through; and how many such rounds before the older ones are."""

SWITCH_S = 0.0005
"""So long one thread may run while others want to. (Python: 5 ms, which a connection waits at each of its steps while
an import computes.)"""

TRIES, PAUSE_S = 5, 0.1
"""Somebody who only asks whether a server runs holds the lock for a moment."""


class InUse(Exception):  # noqa: N818 - what is the case
    """Another server runs on this data folder."""


def prepare() -> None:
    """Once, when all modules are loaded.

    A batch of rows is tens of thousands of objects that die together: at Python's usual pace a sixth of an import
    went into looking for cycles that are not there, mostly through modules that never change.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # 500 sessions with several handles each pass the usual 1,024.
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    sys.setswitchinterval(SWITCH_S)


def descriptor_limit() -> int:
    """Return how many files and connections this process may have open."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if most == resource.RLIM_INFINITY else most


@contextmanager
def hold(data_dir: Path) -> Iterator[None]:
    """Be the one server of `data_dir`. Raises InUse."""
    handle = _open(data_dir)
    try:
        for rest in reversed(range(TRIES)):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not rest:
                    raise InUse(f"another server already runs on the data folder {data_dir.absolute()}") from None
                time.sleep(PAUSE_S)
        yield
    finally:
        os.close(handle)


def server_runs(data_dir: Path) -> bool:
    """Whether a server runs on `data_dir` now."""
    handle = _open(data_dir)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _open(data_dir: Path) -> int:
    return os.open(data_dir / "headcount.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
