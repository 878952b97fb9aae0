"""Memory that was freed goes back to the system. Else the C library keeps it, in a heap for each thread that ran."""

from __future__ import annotations

import ctypes

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back() -> None:
    """Give back what is free, in some milliseconds. Do nothing where the C library has no such call (musl, macOS)."""
    if _trim is not None:
        _trim(0)
