"""Tell a client that the database cannot be reached, or does not have a file any more."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from engine.shared.files import ContentGone, TenantGone
from importer.errors import DatabaseAway, DatabaseUnusable, OutcomeUnknown, Refused, TryAgain
from server.files.reports import REMOVED, NotLanded

T = TypeVar("T")

TRIES = 2
AWAY = "the storage of the server cannot be used now; try again later"
FULL = "the storage of the server is full; try again later"
GONE = "another session removed or replaced the file; open it again"


@contextmanager
def reaching() -> Iterator[None]:
    """Raise errors of the storage in the block as OSError, with a sentence that names nothing of the server."""
    try:
        yield
    except TryAgain as error:
        full = error.code == "disk_full"
        raise OSError(errno.ENOSPC if full else errno.EIO, FULL if full else AWAY) from error
    except DatabaseUnusable as error:
        raise OSError(errno.EIO, AWAY) from TryAgain("database_busy", "the database cannot be used", str(error))
    except ContentGone as error:
        raise OSError(errno.ESTALE, GONE) from error
    except TenantGone as error:
        raise NotLanded(REMOVED) from error
    except Refused as error:
        if error.code == "unknown_tenant":
            raise NotLanded(REMOVED) from error
        raise


async def unless_lost(change: Callable[[], Awaitable[T]]) -> T:
    """Return what `change` returns. If the database is lost before it commits, nothing has happened: do it again.

    Each time waits for the database for a while.
    """
    for left in reversed(range(TRIES)):
        try:
            return await change()
        except OSError as error:
            lost = error.__cause__
            if not left or not isinstance(lost, DatabaseAway) or isinstance(lost, OutcomeUnknown):
                raise
    raise AssertionError
