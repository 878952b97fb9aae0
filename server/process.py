"""What the server asks of its own process before it starts: enough open files, and a calmer garbage collector."""

from __future__ import annotations

import gc
import resource

COLLECT_AFTER = (50_000, 20, 50)
"""Objects made before the youngest are looked through; and how many such rounds before the older ones are."""


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
