"""Let a hook decide on a complete file before it lands, while its client waits."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from server.files.files import Gone
from server.files.hooks import Hook, HookRefused, Record, Upload
from server.files.reports import SHOWN_TO_CLIENTS, NotLanded

LEFT = "the client left before the hook accepted the file"


Recording = Callable[[Record], Awaitable[None]]
"""Records the refusal of a hook unless the tenant was removed. Raises NotLanded if it was, or OSError."""


async def ask(hook: Hook, upload: Upload, file: Path, gone: Gone | None, recording: Recording | None = None) -> None:
    """Let the hook decide on `file`, which is on disk and which no client can write to. No lock is held.

    Does nothing for a hook that accepts every file. Without `recording`, `file` has another path once the tenant is
    removed.
    Raises OSError if the client has gone before the decision, and NotLanded if the file is refused.
    """
    if hook.decide is None:
        return
    deciding = hook.decide(upload, file)
    try:
        await (deciding if gone is None else _unless(gone, deciding))
    except SHOWN_TO_CLIENTS as refusal:
        if isinstance(refusal, HookRefused) and refusal.record is not None:
            if recording is not None:
                await recording(refusal.record)
            elif file.exists():
                await refusal.record()
        raise NotLanded(str(refusal)) from refusal


async def _unless(gone: Gone, deciding: Coroutine[Any, Any, None]) -> None:
    """Await `deciding`. Once the client has gone, cancel it and raise OSError: such waits count in no limit."""
    decision, end = asyncio.ensure_future(deciding), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({decision, end}, return_when=asyncio.FIRST_COMPLETED)
        if not decision.done():
            raise OSError(errno.ECONNABORTED, LEFT)
    finally:
        decision.cancel()
        end.cancel()
        await asyncio.gather(decision, end, return_exceptions=True)
    decision.result()
