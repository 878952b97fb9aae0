"""Return freed memory to the system; else the C library keeps it, in a heap for each thread that ran."""

from __future__ import annotations

import ctypes

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back() -> None:
    """Return free memory, in some milliseconds. Does nothing if the C library has no such call (musl, macOS)."""
    if _trim is not None:
        _trim(0)
