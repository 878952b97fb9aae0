"""What one import is asked to do, and its file: bytes in chunks, hashed on the way, or its rows once more."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO

from importer.file.reader import Batch, CsvReader
from importer.model import (
    FileFacts,
    Written,
)
from importer.requests import Approval, Trial
from importer.rules.settings import ImportSettings

CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Job:
    """One import to run. `file` is its own copy, which nothing changes; `now` is in UTC.

    `proven_whole`: its check-sum fits, so nothing else that speaks against its wholeness counts. `only_news`: a dry
    run says of the header what the import for real would say, and not all. `copy_of` tells where the copy of another
    import's file is; None: it is not to be read side by side with the one before it. `sample`: it is over with the
    batch in which it comes to so many rows; only for a dry run.
    """

    tenant: str
    import_id: int
    file: Path
    name: str
    dry_run: bool
    written: Written | None
    approval: Approval | None
    now: datetime
    proven_whole: bool = False
    only_news: bool = False
    trial: Trial | None = None
    copy_of: Callable[[int], Path] | None = None
    sample: int | None = None


class Source:
    """The file's bytes in chunks, hashed on the way."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.facts = FileFacts(name, os.fstat(file.fileno()).st_size)

    @property
    def status(self) -> os.stat_result:
        """What the system knows of the file, which may have lost its name."""
        return os.fstat(self._file.fileno())

    def chunks(self) -> Iterator[bytes]:
        while chunk := self._file.read(CHUNK_BYTES):
            self._hash.update(chunk)
            yield chunk

    def read_out(self, rows: int | None) -> FileFacts:
        """Everything about the file, whether or not its rows were read to the end."""
        if not self.facts.sha256:
            for _ in self.chunks():
                pass
            self.facts = replace(self.facts, sha256=self._hash.hexdigest())
        return replace(self.facts, rows=rows)

    def was_hashed(self, sha256: str | None) -> None:
        """All bytes of the file were hashed elsewhere: they need not be read for it."""
        self.facts = replace(self.facts, sha256=sha256)


def read_again(path: Path, settings: ImportSettings, batch_rows: int) -> Iterator[Batch]:
    """The batches of a file, from its beginning."""
    with path.open("rb") as file:
        chunks = iter(partial(file.read, CHUNK_BYTES), b"")
        yield from CsvReader(chunks, **settings.form, batch_rows=batch_rows).batches()
