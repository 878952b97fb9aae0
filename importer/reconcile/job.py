"""The job of one import, and its file: chunks of bytes, hashed while reading, or its rows once more."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO

from importer.archive import Keep, keep_in_place
from importer.file.reader import Batch, CsvReader
from importer.model import (
    FileFacts,
    Written,
)
from importer.requests import Approval, DryRunRequest
from importer.rules.settings import ImportSettings

CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Job:
    """One import to run. `file` is its own copy, which does not change; `now` is in UTC.

    `proven_complete`: the checksum matches, so the file counts as complete. `only_news`: a dry run reports only those
    messages about the header that the real import would report. `copy_of` returns the path of another import's file;
    None: do not compare with the previous file. `sample`: end after the batch in which this number of rows is
    reached; only for a dry run. `keep` stores the files of the messages, before the import is committed.
    """

    tenant: str
    import_id: int
    file: Path
    name: str
    dry_run: bool
    written: Written | None
    approval: Approval | None
    now: datetime
    proven_complete: bool = False
    only_news: bool = False
    trial: DryRunRequest | None = None
    copy_of: Callable[[int], Awaitable[Path]] | None = None
    sample: int | None = None
    keep: Keep = keep_in_place


class Source:
    """The bytes of the file in chunks, hashed while reading."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.facts = FileFacts(name, os.fstat(file.fileno()).st_size)

    @property
    def status(self) -> os.stat_result:
        """The status of the open file, which may have no name any more."""
        return os.fstat(self._file.fileno())

    def chunks(self) -> Iterator[bytes]:
        while chunk := self._file.read(CHUNK_BYTES):
            self._hash.update(chunk)
            yield chunk

    def read_out(self, rows: int | None) -> FileFacts:
        """Read the rest of the file, and return its facts."""
        if not self.facts.sha256:
            for _ in self.chunks():
                pass
            self.facts = replace(self.facts, sha256=self._hash.hexdigest())
        return replace(self.facts, rows=rows)

    def was_hashed(self, sha256: str | None) -> None:
        """Set the checksum, which another process computed, so the file need not be read for it."""
        self.facts = replace(self.facts, sha256=sha256)


def read_again(path: Path, settings: ImportSettings, batch_rows: int) -> Iterator[Batch]:
    """Yield the batches of a file from its beginning."""
    with path.open("rb") as file:
        chunks = iter(partial(file.read, CHUNK_BYTES), b"")
        yield from CsvReader(chunks, **settings.form, batch_rows=batch_rows).batches()
