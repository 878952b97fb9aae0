"""The text of a file as records with their line numbers: line ends, quotes, limits, blank lines.  Pure.

RFC 4180, read strictly: what is broken fails the whole file, with the line where it broke. Most files have no
quote anywhere, so a block of text is first looked at as a whole and split at its line ends; only a block that
has something unusual in it is walked through record by record. Either way faults come in the order of the file.

Limits are counted in characters, so that they don't depend on the encoding.
"""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from importer.errors import FileError
from importer.file.decoding import DecodedText
from importer.file.header import DELIMITERS, MAX_COLUMNS, OURS, Header, Names, known_columns, read_header
from importer.file.letters import BLANKS
from importer.file.records import MAX_ROW, is_sound, nul, quote_fault, row_too_long
from importer.model import Problem, Severity

MAX_CELL = 64 * 1024
BLANK_LINES_NAMED = 5
BATCH_BYTES = 4 * 1024 * 1024
"""A batch is no longer than about this, so that it takes no more memory where rows are as long as they may be."""

_SHORT = MAX_COLUMNS - 1
"""A record of at most so many characters can't pass any limit."""


@dataclass(slots=True)
class Batch:
    """Records that follow each other: the physical line each begins on, and its text without the line end."""

    lines: list[int]
    raws: list[str]


class CsvReader:
    """Reads the header at once, then hands out the records in batches.

    `problems` holds the warnings about the header; notices about the whole file are added when the batches end.
    `bytes_read` and `rows` grow while reading. After the last batch `ends_with_newline` says whether the file
    has a line end at its end, and `last_row_unfinished` whether the last row lacked one (they differ where the
    last line is blank). Raises FileError where the file can't be read; no batch has a record after that place.
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        *,
        delimiter: str = ",",
        encoding: str = "utf-8",
        names: Names = OURS,
        batch_rows: int = 2000,
    ) -> None:
        self.problems: list[Problem] = []
        self.rows = 0
        self.ends_with_newline = True
        self.last_row_unfinished = False
        self._delimiter = delimiter
        self._encoding = encoding
        self._names = names
        self._batch_rows = batch_rows
        self._text = DecodedText(chunks, encoding)
        self._line = 1  # where the text that was not yet split begins
        self._columns = 0  # as many as the header has; 0: not read yet
        self._blank = BLANKS + delimiter + '"'
        self._blank_lines = 0
        self._first_blank_lines: list[int] = []
        self._first = Batch([], [])  # the records that came with the header
        self._blocks = self._read_blocks()
        try:
            self.header: Header = self._read_header()
        except FileError:
            self.close()
            raise

    @property
    def bytes_read(self) -> int:
        return self._text.bytes_read

    def close(self) -> None:
        """Let go of what was read: who reads only the header calls this, or its text stays in memory for long."""
        self._blocks.close()  # it and the reader hold each other

    def batches(self) -> Iterator[Batch]:
        """All records after the header, `batch_rows` in a batch, or fewer where rows are long. May be called once.

        Raises FileError for whatever is wrong with the structure, so that no record need be parsed to know
        that the file is whole.
        """
        found, size, begun = Batch([], []), self._batch_rows, 0
        for more in chain([self._first], self._blocks):
            found.lines += more.lines
            found.raws += more.raws
            at = 0
            full = self.bytes_read - begun >= BATCH_BYTES
            while len(found.raws) - at >= (size if not full else 1):
                batch = Batch(found.lines[at : at + size], found.raws[at : at + size])
                self.rows += len(batch.raws)
                yield batch
                at += size
            del found.lines[:at], found.raws[:at]
            if at:
                begun = self.bytes_read
        if found.raws:
            self.rows += len(found.raws)
            yield Batch(found.lines, found.raws)
        if not self.rows:
            raise FileError("no_rows", "The file has a header but no rows. Nothing was changed.", line=1)
        self._report_blank_lines()
        if self._text.is_utf_8_too:
            self.problems.append(_perhaps_utf_8(self._encoding))

    def cells(self, line: int, raw: str) -> list[str]:
        """The cells of one record, as they are in the file. Raises FileError if its quotes are not in order."""
        if '"' not in raw:
            return raw.split(self._delimiter)
        if not is_sound(raw, self._delimiter):
            raise quote_fault(line, raw, self._delimiter) or row_too_long(line)
        # Nothing csv forgives or refuses in its own way is left.
        return next(csv.reader([raw], delimiter=self._delimiter))

    def _read_header(self) -> Header:
        for found in self._blocks:
            self._first = found
            line, raw = found.lines.pop(0), found.raws.pop(0)
            cells = self.cells(line, raw)
            try:
                header, warnings = read_header(cells, line, self._delimiter, self._names)
            except FileError:
                self._hint_at_delimiter(line, raw)
                raise
            self.problems += warnings
            self._columns = len(cells)
            return header
        if self._blank_lines:
            raise FileError("blank_file", "The file has nothing in it but blank lines. Send it again.", line=1)
        raise FileError("empty_file", "The file is empty. Send it again.", line=1)

    def _read_blocks(self) -> Generator[Batch, None, None]:
        """The records of each block of text, header included; what came before a fault is given out first."""
        pending = ""
        for block in self._text:
            text = pending + block
            cut = text.rfind("\n") + 1
            found = Batch([], [])
            fault = None
            try:
                pending = self._split(text[:cut], found) + text[cut:]
                # One more than a row may have: it can be the first half of a CRLF.
                if len(pending) > MAX_ROW + 1:
                    raise quote_fault(self._line, pending[:MAX_ROW], self._delimiter) or row_too_long(self._line)
            except FileError as error:
                fault = error
            if found.raws:
                yield found
            if fault:
                raise fault
        if pending:
            yield from self._last_line(pending)

    def _split(self, text: str, found: Batch) -> str:
        """Put the records of whole lines into `found`; what is left is a record whose quote is still open."""
        if "\0" not in text:
            plain = text.replace("\r\n", "\n") if "\r" in text else text
            raws = plain.split("\n")
            raws.pop()
            if "\r" not in plain and raws and len(max(raws, key=len)) <= _SHORT and self._ends_where_lines_end(raws):
                self._keep_plain(raws, found)
                return ""
        return self._walk(text, found)

    def _ends_where_lines_end(self, raws: list[str]) -> bool:
        """Whether each line with a quote is a record by itself, and not a blank one: so it is in most blocks."""
        quoted = [raw for raw in raws if '"' in raw]
        return all(is_sound(raw, self._delimiter) and raw.strip(self._blank) for raw in quoted)

    def _keep_plain(self, raws: list[str], found: Batch) -> None:
        lines = range(self._line, self._line + len(raws))
        self._line += len(raws)
        blank = self._blank
        kept = [raw for raw in raws if raw.strip(blank)]
        if len(kept) == len(raws):
            found.lines += lines
        else:
            found.lines += [line for line, raw in zip(lines, raws, strict=True) if raw.strip(blank)]
            self._skip_blank([line for line, raw in zip(lines, raws, strict=True) if not raw.strip(blank)])
        found.raws += kept

    def _skip_blank(self, lines: list[int]) -> None:
        self._blank_lines += len(lines)
        self._first_blank_lines += lines[: BLANK_LINES_NAMED - len(self._first_blank_lines)]

    def _walk(self, text: str, found: Batch) -> str:
        pieces = text.split("\n")
        pieces.pop()
        opened: list[str] = []  # the lines of a record whose quote is open
        for piece in pieces:
            closes_or_opens = '"' in piece and piece.count('"') % 2 == 1
            if opened:
                opened.append(piece)
                if not closes_or_opens:
                    continue
                piece, opened = "\n".join(opened), []
            elif closes_or_opens:
                opened.append(piece)
                continue
            self._take(piece.removesuffix("\r"), found)
            self._line += piece.count("\n") + 1
        opened.append("")
        return "\n".join(opened)

    def _last_line(self, raw: str) -> Iterator[Batch]:
        """A line without a line end, at the end of the file."""
        self.ends_with_newline = False
        found = Batch([], [])
        # A lone carriage return at the very end is half a line end.
        body = raw.removesuffix("\r")
        self._take(body, found)
        if self._columns and (body != raw or len(self.cells(self._line, body)) < self._columns):
            raise FileError(
                "last_row_cut_off",
                f"The file breaks off in its last line ({self._line}), which is not complete. "
                "The rest is missing: send the whole file again.",
                line=self._line,
            )
        self.last_row_unfinished = bool(found.raws)
        if found.raws:
            yield found

    def _take(self, raw: str, found: Batch) -> None:
        """Check one record that begins on the current line, and keep it unless all its cells are blank."""
        line = self._line
        if len(raw) > _SHORT:
            self._check_limits(line, raw)
        if not is_sound(raw, self._delimiter):
            if not self._columns and not found.raws:
                self._hint_at_delimiter(line, raw)
            raise quote_fault(line, raw, self._delimiter) or row_too_long(line)
        if "\0" in raw:
            raise nul(line + raw.count("\n", 0, raw.index("\0")))
        if raw.strip(self._blank) or ('"' in raw and any(cell.strip(BLANKS) for cell in self.cells(line, raw))):
            found.lines.append(line)
            found.raws.append(raw)
        else:
            self._skip_blank([line])

    def _check_limits(self, line: int, raw: str) -> None:
        if len(raw) > MAX_ROW:
            raise quote_fault(line, raw[:MAX_ROW], self._delimiter) or row_too_long(line)
        if len(raw) <= MAX_CELL and raw.count(self._delimiter) < MAX_COLUMNS:
            return
        cells = self.cells(line, raw)
        if len(cells) > MAX_COLUMNS:
            raise FileError(
                "too_many_columns",
                f"Line {line} has {len(cells)} cells; at most {MAX_COLUMNS} are possible. Remove those not needed.",
                line=line,
            )
        if any(len(cell) > MAX_CELL for cell in cells):
            raise FileError(
                "cell_too_long",
                f"A cell on line {line} has more than {MAX_CELL:,} characters. Shorten it; or a quote is missing "
                "or too many, so that many lines were taken for one cell.",
                line=line,
            )

    def _hint_at_delimiter(self, line: int, raw: str) -> None:
        """Raise FileError if the header `raw` makes more sense with another delimiter."""
        ours = known_columns(raw.replace('"', "").split(self._delimiter), self._names)
        for other, name in DELIMITERS.items():
            theirs = known_columns(raw.replace('"', "").split(other), self._names)
            if theirs > ours and theirs >= 2:
                raise FileError(
                    "wrong_delimiter",
                    f"The columns are separated by {name}, but {DELIMITERS[self._delimiter]} are expected. "
                    f"Save the file with {DELIMITERS[self._delimiter]}, or have the delimiter setting changed.",
                    line=line,
                )

    def _report_blank_lines(self) -> None:
        if not self._blank_lines:
            return
        first = self._first_blank_lines
        named = ", ".join(map(str, first)) + (", …" if self._blank_lines > len(first) else "")
        what = "1 blank line was" if self._blank_lines == 1 else f"{self._blank_lines} blank lines were"
        message = f"{what} skipped (line {named}). Nothing needs to be done."
        self.problems.append(Problem(Severity.NOTICE, "blank_lines", message, first[0]))


def _perhaps_utf_8(encoding: str) -> Problem:
    message = (
        f"The file was read as {encoding}, as the encoding setting says, but it looks like UTF-8. If names are "
        "garbled now, have that setting changed, or save the file with a byte order mark, and send it again."
    )
    return Problem(Severity.WARNING, "perhaps_utf_8", message)
