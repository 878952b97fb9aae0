"""Read a file as a header and batches of records, and report problems of the whole file. Pure.

splitting.py splits text into records; edges.py handles lines before the header and after the last row. This module
finds the header, or reports why there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from importer.errors import FileError
from importer.file.blocks import Block, Unsure
from importer.file.columns import read_header
from importer.file.decoding import DecodedText
from importer.file.edges import (
    Batch,
    BeforeEndMark,
    end_mark_skipped,
    is_sep_line,
    read_sep_line,
    without_last,
)
from importer.file.header import DELIMITERS, OURS, Header, Names, likely_columns
from importer.file.misread import (
    PEEKED,
    Beginning,
    Line,
    first_lines,
    is_line_in_quotes,
    separated_by,
    why_no_header,
)
from importer.file.splitting import MAX_CELL, Records
from importer.model import Problem, Severity

__all__ = ["BATCH_BYTES", "MAX_CELL", "Batch", "CsvReader", "Ending"]

BATCH_BYTES = 4 * 1024 * 1024
"""The approximate maximum of a batch: limits memory if rows are very long."""

_OF_BYTES = frozenset({"wrong_encoding", "nul_character"})
"""Faults of a file that do not depend on its delimiter."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The facts known once a file was read to its end. The fields are those of `CsvReader`."""

    problems: tuple[Problem, ...]
    rows: int
    ends_with_newline: bool
    last_row_unfinished: bool


class CsvReader:
    """Reads the header at once, then yields the records in batches.

    `problems` has the warnings about the header; the messages about the whole file are added after the last batch.
    `bytes_read` and `rows` grow while reading. After the last batch, `ends_with_newline` tells whether the file ends
    with a line end, and `last_row_unfinished` whether its last row has none (they differ if the last line is blank).
    Both ignore the last lines that are left out. Raises FileError if the file cannot be read; no batch has a record
    after the fault.
    """

    def __init__(
        self,
        chunks: Iterable[bytes | Block],
        *,
        delimiter: str = ",",
        encoding: str = "utf-8",
        names: Names = OURS,
        skip_first: int = 0,
        skip_last: int = 0,
        batch_rows: int = 2000,
    ) -> None:
        self.problems: list[Problem] = []
        self.rows = 0
        self._delimiter = delimiter
        self._encoding = encoding
        self._names = names
        self._batch_rows = batch_rows
        self._text = DecodedText(chunks, encoding)
        self._before_end = BeforeEndMark(self._text)
        self._skip_first = skip_first
        self._skip_last = skip_last
        self._anything_left_out = False
        self._any_known = False
        self._elsewhere = 0
        self._ending: Ending | None = None
        self._records = Records(self._before_end, delimiter, skip_first, leaves_out_last=skip_last > 0)
        self._first = Batch([], [])  # the records read together with the header
        self._blocks = self._records.blocks()
        self.cells = self._records.cells
        self.table = self._records.table
        try:
            self.header: Header = self._read_header()
        except FileError:
            self.close()
            raise
        if self.header.is_correction:
            self._skip_last = 0
            self._records.leaves_out_last = False

    @property
    def bytes_read(self) -> int:
        return max(self._text.bytes_read, self._elsewhere)

    @property
    def encoding(self) -> str:
        """The encoding in which the file is read."""
        return self._text.read_as

    def close(self) -> None:
        """Free the text that was read. Call it after reading only the header."""
        self._blocks.close()  # a cycle: the generator and the reader refer to each other
        self._first = Batch([], [])

    @property
    def ends_with_newline(self) -> bool:
        if self._ending:
            return self._ending.ends_with_newline
        return self._anything_left_out or self._records.ends_with_newline

    @property
    def last_row_unfinished(self) -> bool:
        if self._ending:
            return self._ending.last_row_unfinished
        return not self._anything_left_out and self._records.last_row_unfinished

    def ending(self) -> Ending:
        """Return what is known after the last batch."""
        return Ending(tuple(self.problems), self.rows, self.ends_with_newline, self.last_row_unfinished)

    def read_elsewhere(self, bytes_read: int, ending: Ending | None = None) -> None:
        """Record that another reader has read so many bytes of the file; with `ending`, all of it."""
        self._elsewhere = bytes_read
        self._ending = ending
        if ending:
            self.problems[:], self.rows = ending.problems, ending.rows

    def batches(self, check_left_out: Callable[[int, list[str]], None] = lambda line, cells: None) -> Iterator[Batch]:
        """Yield all records after the header, `batch_rows` in a batch, or fewer if rows are long. Call it once.

        `check_left_out` gets the last lines that are left out, and may raise FileError. Raises FileError for any
        fault of the structure, so the caller need not parse the records to find one.
        """
        found, size, begun, back = Batch([], []), self._batch_rows, 0, self._skip_last
        ends_in_block = False
        for more in chain([self._first], self._blocks):
            if found.blocks and not more.blocks:
                yield self._counted(found)
                found, begun = Batch([], []), self.bytes_read
            ends_in_block = bool(more.blocks) or (ends_in_block and not more.raws)
            found.lines += more.lines
            found.raws += more.raws
            found.blocks += more.blocks
            full = self.bytes_read - begun >= BATCH_BYTES
            if found.blocks:
                # Blocks are not split: more lines follow the last block than are left out.
                if full or len(found.raws) >= size:
                    yield self._counted(found)
                    found, begun = Batch([], []), self.bytes_read
                continue
            at = 0
            while len(found.raws) - back - at >= (size if not full else 1):
                end = min(at + size, len(found.raws) - back)
                yield self._counted(Batch(found.lines[at:end], found.raws[at:end]))
                at = end
            del found.lines[:at], found.raws[:at]
            if at:
                begun = self.bytes_read
        if ends_in_block:
            raise Unsure  # only blank lines or end marks follow: the last record must be parsed
        found, left_out = without_last(found, back)
        if left_out.raws and not found.raws and self._any_known:
            raise Unsure  # a record has several lines: the rows left out may begin in a block
        for line, raw in zip(left_out.lines, left_out.raws, strict=True):
            check_left_out(line, self.cells(line, raw))
        self._anything_left_out = bool(left_out.raws)
        for at in range(0, len(found.raws), size):
            yield self._counted(Batch(found.lines[at : at + size], found.raws[at : at + size]))
        self._conclude()

    def _counted(self, batch: Batch) -> Batch:
        self.rows += len(batch.raws)
        for block in batch.blocks:
            self._any_known = True
            self.rows += block.known
        return batch

    def _conclude(self) -> None:
        """Add the messages about the whole file, once all of it was read."""
        if not self.rows:
            raise FileError("no_rows", "The file has a header but no rows. Export it again.", line=1)
        if blank_lines := self._records.blank_lines_notice():
            self.problems.append(blank_lines)
        if self._before_end.found:
            self.problems.append(end_mark_skipped(self._records.line))
        if self._text.is_utf_8_too:
            self.problems.append(_perhaps_utf_8(self._encoding))

    # The header.

    def _read_header(self) -> Header:
        above: list[Line] = []
        try:
            self._pull(1)
            if not self._first.raws:
                raise self._nothing_in_it()
            if self._skip_first and self._records.left_out.raws:
                self._read_sep_line(self._records.left_out.lines[0], self._records.left_out.raws[0])
            elif is_sep_line(self._first.raws[0]):
                line, raw = self._first.lines.pop(0), self._first.raws.pop(0)
                self._read_sep_line(line, raw)
                above.append(Line(line, raw, [raw]))
                self._pull(1)
                if not self._first.raws:
                    raise self._nothing_in_it()
        except FileError:
            if self._records.first and not self._records.left_out.raws:
                self._hint_at_delimiter(*self._records.first)
            raise
        line, raw = self._first.lines.pop(0), self._first.raws.pop(0)
        cells = self.cells(line, raw)
        self._records.columns = len(cells)
        try:
            header, warnings = read_header(cells, line, self._delimiter, self._names)
        except FileError as error:
            if not is_line_in_quotes(cells, raw):
                self._hint_at_delimiter(line, raw)
            # Drop the traceback: its frames keep the text in memory until they are collected.
            raise self._explained(error.with_traceback(None), above, Line(line, raw, cells)) from None
        self.problems += warnings
        return header

    def _pull(self, number: int) -> None:
        """Read until `_first` has `number` records, or the file ends."""
        while len(self._first.raws) < number and (more := next(self._blocks, None)) is not None:
            self._first.lines += more.lines
            self._first.raws += more.raws

    def _nothing_in_it(self) -> FileError:
        if self._records.left_out.raws:
            return FileError(
                "no_rows",
                f"The file has nothing below the {first_lines(self._skip_first)}, which skip_first_lines leaves out. "
                "If that setting is right, the list is missing. Export it again.",
                line=1,
            )
        if self._records.blank_lines or self._records.begins_on > 1:
            return FileError("blank_file", "The file has only blank lines. Export it again.", line=1)
        return FileError("empty_file", "The file is empty. Export it again.", line=1)

    def _read_sep_line(self, line: int, raw: str) -> None:
        if is_sep_line(raw):
            self.problems.append(read_sep_line(raw, line, self._delimiter))

    def _explained(self, error: FileError, above: list[Line], line_1: Line) -> FileError:
        """Return `error` with a message that explains the cause, and the other faults of the file."""
        further: list[FileError] = []
        try:
            self._pull(PEEKED)
            below = [
                Line(line, raw, self.cells(line, raw))
                for line, raw in zip(self._first.lines[:PEEKED], self._first.raws[:PEEKED], strict=True)
            ]
        except FileError as fault:
            below, further = [], [fault, *fault.further]
        beginning = Beginning([*above, line_1, *below], len(above), self._skip_first, self._records.begins_on)
        found = why_no_header(error, beginning, self._records.left_out, self._names, self._delimiter)
        try:
            for _ in self._blocks:
                pass
        except FileError as fault:
            further = [fault, *fault.further]
        if found.code == "wrong_delimiter":  # quotes cannot be judged with the wrong delimiter
            further = [fault for fault in further if fault.code in _OF_BYTES]
        return found.with_further(further)

    def _hint_at_delimiter(self, line: int, raw: str) -> None:
        """Raise FileError if another delimiter finds more columns in the header `raw`."""
        ours = likely_columns(raw.replace('"', "").split(self._delimiter), self._names)
        for other in DELIMITERS:
            cells = raw.replace('"', "").split(other)
            theirs = likely_columns(cells, self._names)
            if theirs > ours and theirs >= 2:
                raise separated_by(other, self._delimiter, line).with_further(self._wrong_as_well(line, cells, other))

    def _wrong_as_well(self, line: int, cells: list[str], delimiter: str) -> list[FileError]:
        """Return the other faults of a file with another `delimiter`: those of its header `cells` and its bytes."""
        found: list[FileError] = []
        try:
            read_header(cells, line, delimiter, self._names)
        except FileError as error:
            found += [error, *error.further]
        try:
            for _ in self._blocks:
                pass
        except FileError as error:
            found += [each for each in (error, *error.further) if each.code in _OF_BYTES]
        return found


def _perhaps_utf_8(encoding: str) -> Problem:
    message = (
        f"Read as {encoding}, but the file looks like UTF-8. If names look wrong, change the encoding setting and "
        "send "
        "it again. A byte order mark in the file has the same effect."
    )
    return Problem(Severity.WARNING, "perhaps_utf_8", message)
