"""Land a file at a hook's path, in one transaction: the hook's rows, the kept copy, the visible name and the quota.

Theory. The promise is that of `server.files.local.landing`: after OK there is a queued import (or run of another
hook) of exactly these bytes. The bytes come first, as a sealed content that nothing refers to: a crash leaves a
content that is deleted later. Then one transaction holds the tenant's row, so that files land in the order of their
commits, and

1  looks at the place again: another session may have changed it; and at the note of the unfinished upload: another
   server may have reported it as interrupted, because this one was frozen,
2  lets the hook record the upload (`hook.arriving`),
3  lets the name and the kept copy refer to the content, and lets the hook queue it (`hook.landed`),
4  removes the note of the unfinished upload, and checks the quota.

A crash before the commit leaves the old file and the note, so another server, or the next start, reports the upload
as interrupted. After the commit the file has landed, also if the client never gets the OK. PostgreSQL writes commits
to its disk in order, so the commit takes the chunks along.

A failure in 3 undoes 3, and the transaction commits what the hook says about it (`hook.failed`). A refusal in 2 is
committed too, because the hook may have recorded it. Work that follows a commit, such as waking the worker or a log
line, is put off until then (`ground.afterwards`).
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.shared.files import Names
from server.files.hooks import Arrival, Hook, Upload
from server.files.reports import SHOWN_TO_CLIENTS, NotLanded, reason_of
from server.files.shared.reaching import reaching
from server.files.shared.space import Space
from server.loop import hurry

Step = Callable[[Names], Awaitable[None]]


async def land(
    space: Space, hook: Hook, upload: Upload, content: int, file: Path, *, check: Step, place: Step, ends: Step
) -> int:
    """Land a content that is also at `file`; return the id of its import or run.

    In the transaction, `check` looks at the place, `place` changes the names, and `ends` follows whatever happens.
    Raises OSError for a failure before the hook has a record, and NotLanded if the hook refuses or for an expected
    failure after it.
    """
    space.check_storage()
    failure: Exception | None = None
    arrival = None
    with hurry():
        async with space.changing() as names:
            await check(names)
            try:
                arrival = await hook.arriving(upload)
            except SHOWN_TO_CLIENTS as refusal:
                failure = refusal
            else:
                failure = await _place(space, hook, upload, arrival, content, file, place)
            await ends(names)
    if failure is None and arrival is not None:
        return arrival.id
    assert failure is not None
    if isinstance(failure, (OSError, *SHOWN_TO_CLIENTS)):
        raise NotLanded(reason_of(failure)) from failure
    raise failure


async def _place(
    space: Space, hook: Hook, upload: Upload, arrival: Arrival, content: int, file: Path, place: Step
) -> Exception | None:
    """Change the names, keep the copy and queue the upload; or none of these, and return why."""
    try:
        async with space.names.together():
            with reaching():
                await place(space.names)
                await space.names.keep([(space.kept_name(arrival.copy), content)])
            with _at_hand(file, arrival.copy):
                await hook.landed(upload, arrival)
    except Exception as error:
        await hook.failed(upload, arrival, reason_of(error))
        return error
    return None


@contextmanager
def _at_hand(file: Path, copy: Path) -> Iterator[None]:
    """Let a file have the path of the kept copy in the block, where the hook may read it."""
    copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    copy.unlink(missing_ok=True)  # fetched for a removed tenant of this name
    os.link(file, copy)
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            copy.unlink()
