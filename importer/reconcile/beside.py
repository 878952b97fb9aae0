"""Read the sheets of a large file in a second process, while this one writes the users of the previous sheet.

A thread would not help: Python runs one thread at a time, and SQLite releases the lock for every row.

- The process gets nothing from the server but two pipes and the path of the modules.
- It ends with the server, even if that is killed: at its next sheet it finds that no process reads the pipe.
- It holds one sheet and waits until that is read. So a longer file takes no more memory.
- It is never required: if it cannot be started or ends too early, this process reads the rest.
"""

from __future__ import annotations

import gc
import logging
import os
import pickle
import select
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO

from importer.errors import FileError
from importer.file.edges import Batch
from importer.file.reader import CsvReader, Ending
from importer.file.sidebyside import Pieces, SideBySide
from importer.reconcile.job import Source
from importer.reconcile.plan import footer_missing
from importer.reconcile.sheet import Sheet, take_apart
from importer.reconcile.unread import Unread
from importer.rules.rows import RowChecker
from importer.rules.settings import ImportSettings

log = logging.getLogger(__name__)


SIZE = struct.Struct("<Q")
"""The length of an answer, which precedes it."""

PATIENCE_S = 10.0
"""The longest wait for the process to write something, in seconds."""


class EndedEarly(Exception):  # noqa: N818 - not an error
    """The process ended before the file did, or hangs."""


@dataclass(frozen=True, slots=True)
class Whole:
    """The end of the file. `sha256` is the checksum of all its bytes, in hex."""

    ending: Ending
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Task:
    """The file at `path` to read, as a `CsvReader` does. Last days before `past` are over."""

    path: Path
    settings: ImportSettings
    past: str
    batch_rows: int
    pieces: Pieces


class Beside:
    """A process that reads one file. It must be closed; any thread may do so at any time."""

    def __init__(self, process: subprocess.Popen[bytes], answers: IO[bytes]) -> None:
        self._process = process
        self._answers = answers

    @classmethod
    def start(cls, task: Task) -> Beside | None:
        """Start reading a file; return None if no process can be started."""
        modules = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "importer.reconcile.beside"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                stderr=subprocess.DEVNULL,
                env={"PYTHONPATH": modules},
                start_new_session=True,  # a Ctrl-C is for the server alone
            )
        except OSError:
            return None
        assert process.stdin is not None
        assert process.stdout is not None
        beside = cls(process, process.stdout)
        with suppress(OSError), process.stdin as pipe:  # if it has ended already, `next` raises EndedEarly
            pickle.dump(task, pipe)
        return beside

    def next(self) -> tuple[Sheet | Whole, int]:
        """Wait for the next sheet, or the end of the file; return it with the number of bytes read so far.

        Raises FileError as a `CsvReader` does, and EndedEarly.
        """
        (size,) = SIZE.unpack(self._take(SIZE.size))
        found, bytes_read = pickle.loads(self._take(size))  # noqa: S301 - of our own process
        if isinstance(found, FileError):
            raise found
        return found, bytes_read

    def _take(self, size: int) -> bytearray:
        """Read `size` bytes from the process. Raises EndedEarly."""
        taken, waiting = bytearray(), select.poll()
        waiting.register(self._answers, select.POLLIN)
        while len(taken) < size:
            ready = waiting.poll(PATIENCE_S * 1000)
            some = os.read(self._answers.fileno(), size - len(taken)) if ready else b""
            if not some:
                raise EndedEarly
            taken += some
        return taken

    def close(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()
        self._answers.close()


def sheets(reader: CsvReader, settings: ImportSettings, past: str) -> Iterator[Sheet]:
    """Yield the rows of a file as sheets. Last days before `past` are over. Raises FileError."""
    checker, unread = RowChecker(reader.header, settings, past), Unread(reader.header, settings, past)
    batches = reader.batches(partial(refuse_person, checker, settings))
    batch = next(batches, None)
    while batch is not None:
        after = next(batches, None)
        unfinished = 0 if after else unfinished_line(reader, batch, settings)
        yield take_apart(batch, reader.table(batch.raws), checker, unread, unfinished)
        batch = after


class Reading:
    """The sheets of one file: from a second process, and if that ends too early, from this one.

    Not thread-safe, except `close`.
    """

    def __init__(
        self, beside: Beside, reader: CsvReader, source: Source, settings: ImportSettings, past: str
    ) -> None:
        """`reader`, of `source`, has read only the header."""
        self._beside = beside
        self._reader = reader
        self._source = source
        self._sheets = sheets(reader, settings, past)
        self._taken = 0
        self._here = False
        self._closed = False

    def next(self) -> Sheet | None:
        """Wait for the next sheet; None after the last. Raises FileError."""
        if not self._here and not self._closed:
            try:
                return self._from_beside()
            except EndedEarly:
                if not self._closed:
                    self._read_on()
        return None if self._closed else next(self._sheets, None)

    def _from_beside(self) -> Sheet | None:
        found, bytes_read = self._beside.next()
        if isinstance(found, Sheet):
            self._taken += 1
            self._reader.read_elsewhere(bytes_read)
            return found
        self._reader.read_elsewhere(bytes_read, found.ending)
        self._source.was_hashed(found.sha256)
        self.close()
        return None

    def _read_on(self) -> None:
        log.warning(
            "The process that read a file for an import ended too early; the import continues without it.",
            extra={"event": "reader_ended"},
        )
        self._here = True
        self._beside.close()
        for _ in islice(self._sheets, self._taken):
            pass

    def close(self) -> None:
        """Read no further. Any thread may call it; a thread that waits for a sheet gets None."""
        self._closed = True
        self._beside.close()


def refuse_person(checker: RowChecker, settings: ImportSettings, line: int, cells: list[str]) -> None:
    """Raise FileError if this last line, which the settings leave out, is the row of a user."""
    if checker.is_person(line, cells, ""):
        raise footer_missing(line, settings.skip_last_lines)


def unfinished_line(reader: CsvReader, last: Batch, settings: ImportSettings) -> int:
    """Return the line of the row that is not applied because the file ends in its middle; 0 for none."""
    return last.lines[-1] if reader.last_row_unfinished and settings.require_final_newline else 0


def main() -> None:
    """Read the file that standard input names, and write its sheets to standard output."""
    gc.disable()  # nothing here makes cycles, and searching for them takes a fifth of the time
    answers = sys.stdout.buffer
    with suppress(BrokenPipeError, EOFError):
        task: Task = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the server that started this process
        with task.path.open("rb") as file:
            for answer in _read(Source(file, ""), task):
                found = pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
                answers.write(SIZE.pack(len(found)) + found)
                answers.flush()


def _read(source: Source, task: Task) -> Iterator[tuple[Sheet | Whole | FileError, int]]:
    try:
        chunks = SideBySide(source.chunks(), task.pieces)  # cut the file as the server does
        reader = CsvReader(chunks, **task.settings.form, batch_rows=task.batch_rows)
        chunks.begin(None, left_out=task.settings.skip_last_lines)
        for sheet in sheets(reader, task.settings, task.past):
            yield sheet, reader.bytes_read
        yield Whole(reader.ending(), source.read_out(None).sha256), reader.bytes_read
    except FileError as error:
        yield error, 0


if __name__ == "__main__":
    from importer.reconcile import beside  # pickle needs the module name that the server uses

    beside.main()
