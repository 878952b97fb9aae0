"""Tell a client that the database cannot be reached, or does not have a file any more."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from engine.files import ContentGone, TenantGone
from importer.errors import DatabaseUnusable, Refused, TryAgain
from server.files.reports import REMOVED, NotLanded

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
        raise OSError(errno.EIO, AWAY) from TryAgain("database_busy", str(error))
    except ContentGone as error:
        raise OSError(errno.ESTALE, GONE) from error
    except TenantGone as error:
        raise NotLanded(REMOVED) from error
    except Refused as error:
        if error.code == "unknown_tenant":
            raise NotLanded(REMOVED) from error
        raise
