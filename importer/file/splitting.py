"""Split the text of a file into records with line numbers: line ends, quotes, limits, blank lines. Pure.

RFC 4180, read strictly. Most files have no quotes, so a block of text is first checked as a whole and split at its
line ends. A block with anything unusual is walked record by record. Either way faults are in the order of the file.

A fault fails the whole file, but reading goes on to find the others: a broken record ends with its line, so the next
can be checked. Reading stops after a quote that is never closed or a record without an end: nothing after it can be
split into records.

Limits count characters, so they do not depend on the encoding.
"""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterable, Iterator, Sequence

from ground.words import counted
from importer.errors import MAX_FAULTS, FileError
from importer.file.blocks import Block, Unsure
from importer.file.edges import Batch
from importer.file.header import MAX_COLUMNS, is_correction
from importer.file.letters import BLANKS
from importer.file.non_users import surely_a_footer
from importer.file.records import MAX_ROW, is_sound, nul, quote_fault, row_too_long
from importer.model import Problem, Severity

MAX_CELL = 64 * 1024
BLANK_LINES_NAMED = 5
UNTERMINATED = "unterminated_quote"

_SHORT = MAX_COLUMNS - 1
"""A record of at most so many characters cannot exceed a limit."""


class Records:
    """The records of `text`, without the first `skip_first` (blank lines count).

    `first` is the first record, left out or not, and `left_out` has those left out: none of a correction file. The
    reader sets `columns` to the number of columns, once it is known, and `leaves_out_last` if it leaves out last
    lines. After the last batch, `ends_with_newline` tells whether the text ends with a line end, and
    `last_row_unfinished` whether the last row has none (they differ if the last line is blank).
    """

    def __init__(
        self, text: Iterable[str | Block], delimiter: str, skip_first: int, *, leaves_out_last: bool = False
    ) -> None:
        self.columns = 0
        self.first: tuple[int, str] | None = None
        self.left_out = Batch([], [])
        self.begins_on = 1  # the first physical line that is not left out
        self.line = 1  # the physical line on which the text not yet split begins
        self.ends_with_newline = True
        self.last_row_unfinished = False
        self.blank_lines = 0
        self._first_blank_lines: list[int] = []
        self._text = text
        self._delimiter = delimiter
        self._skip = skip_first
        self.leaves_out_last = leaves_out_last
        self._blank = BLANKS + delimiter + '"'
        self._faults: list[FileError] = []

    def blocks(self) -> Generator[Batch, None, None]:
        """Yield the records of each block of text. Raises FileError at the end if there is a fault.

        No record after a fault is yielded.
        """
        try:
            yield from self._blocks()
        except FileError as error:
            self._faults.append(error)
        if self._faults:
            raise self._faults[0].with_further(self._faults[1:])

    def cells(self, line: int, raw: str) -> list[str]:
        """Return the cells of one record, as they are in the file. Raises FileError for a quoting fault."""
        if '"' not in raw:
            return raw.split(self._delimiter)
        if not is_sound(raw, self._delimiter):
            raise quote_fault(line, raw, self._delimiter) or row_too_long(line)
        # The record is sound, so the csv module neither repairs nor refuses anything.
        return next(csv.reader([raw], delimiter=self._delimiter))

    def table(self, raws: Sequence[str]) -> list[list[str]]:
        """Return the cells of each of these records, which `blocks` yielded."""
        delimiter = self._delimiter
        quoted = [raw for raw in raws if '"' in raw]
        if not quoted:
            return [raw.split(delimiter) for raw in raws]
        taken_apart = csv.reader(quoted, delimiter=delimiter)
        return [next(taken_apart) if '"' in raw else raw.split(delimiter) for raw in raws]

    def _blocks(self) -> Iterator[Batch]:
        pending = ""
        for block in self._text:
            if isinstance(block, Block):
                if pending:
                    raise Unsure
                yield self._take_unknown(block)
                continue
            text = pending + block
            cut = text.rfind("\n") + 1
            found = Batch([], [])
            fault = None
            try:
                pending = self._split(text[:cut], found) + text[cut:]
            except FileError as error:
                fault = error
            if found.raws:
                yield found
            if fault:
                raise fault
            # One more than the limit: the last character may be the first half of a CRLF.
            if len(pending) > MAX_ROW + 1:
                raise quote_fault(self.line, pending[:MAX_ROW], self._delimiter) or row_too_long(self.line)
            if len(self._faults) >= MAX_FAULTS:
                return
        if pending:
            yield from self._last_line(pending)

    def _take_unknown(self, block: Block) -> Batch:
        """Return the unknown records of `block`. Raises Unsure if one has a fault."""
        found = Batch([], [], [block])
        for line, raw in block.records:
            self.line = line
            self._take(raw, found)
            if self._faults:
                raise Unsure
        self.line = block.line + len(block.users)
        return found

    def _split(self, text: str, found: Batch) -> str:
        """Add the records of whole lines to `found`; return the rest, a record whose quote is still open."""
        if "\0" not in text and not self._skip:
            plain = text.replace("\r\n", "\n") if "\r" in text else text
            raws = plain.split("\n")
            raws.pop()
            if "\r" not in plain and raws and len(max(raws, key=len)) <= _SHORT and self._ends_where_lines_end(raws):
                self._keep_plain(raws, found)
                return ""
        return self._walk(text, found)

    def _ends_where_lines_end(self, raws: list[str]) -> bool:
        """Return whether each line with a quote is a sound, non-blank record by itself, as in most blocks."""
        quoted = [raw for raw in raws if '"' in raw]
        return all(is_sound(raw, self._delimiter) and raw.strip(self._blank) for raw in quoted)

    def _keep_plain(self, raws: list[str], found: Batch) -> None:
        lines = range(self.line, self.line + len(raws))
        self.line += len(raws)
        if self._faults:
            return
        blank = self._blank
        kept = [raw for raw in raws if raw.strip(blank)]
        if len(kept) == len(raws):
            found.lines += lines
        else:
            found.lines += [line for line, raw in zip(lines, raws, strict=True) if raw.strip(blank)]
            self._skip_blank([line for line, raw in zip(lines, raws, strict=True) if not raw.strip(blank)])
        found.raws += kept
        if self.first is None and kept:
            self.first = found.lines[0], kept[0]

    def _skip_blank(self, lines: list[int]) -> None:
        self.blank_lines += len(lines)
        self._first_blank_lines += lines[: BLANK_LINES_NAMED - len(self._first_blank_lines)]

    def _walk(self, text: str, found: Batch) -> str:
        pieces = text.split("\n")
        pieces.pop()
        at = 0
        while at < len(pieces):
            end = at + 1
            if _is_odd(pieces[at]) and self._stays_open(pieces[at]):
                while end < len(pieces) and not _is_odd(pieces[end]):
                    end += 1
                end += 1
                if end > len(pieces):
                    return "\n".join([*pieces[at:], ""])
            raw = pieces[at] if end == at + 1 else "\n".join(pieces[at:end])
            lines = self._take(raw.removesuffix("\r"), found)
            at += lines
            self.line += lines
            if len(self._faults) >= MAX_FAULTS:
                return ""
        return ""

    def _stays_open(self, piece: str) -> bool:
        """Return whether a quote opens in `piece` and is still open at its end. If not, the record is broken."""
        fault = quote_fault(self.line, piece, self._delimiter)
        return fault is not None and fault.code == UNTERMINATED

    def _last_line(self, raw: str) -> Iterator[Batch]:
        """Yield the last line of the file, which has no line end. Raises FileError if it is cut off."""
        self.ends_with_newline = False
        found = Batch([], [])
        faults = len(self._faults)
        # A lone carriage return at the very end is half a line end.
        body = raw.removesuffix("\r")
        self._take(body, found)
        is_whole = not self.columns or len(self._faults) > faults or not body.strip(BLANKS)
        if not is_whole and (body != raw or self._lacks_cells(body)):
            raise FileError(
                "last_row_cut_off",
                f"The file ends in the middle of line {self.line}. Send the complete file.",
                line=self.line,
            )
        self.last_row_unfinished = bool(found.raws)
        if found.raws:
            yield found

    def _lacks_cells(self, body: str) -> bool:
        cells = self.cells(self.line, body)
        return len(cells) < self.columns and not (self.leaves_out_last or surely_a_footer(cells))

    def _take(self, raw: str, found: Batch) -> int:
        """Check the record that begins on the current line, and add it to `found` unless all its cells are blank.

        Return how many of its lines are done: fewer than it has if the first has a quoting fault.
        """
        lines = raw.count("\n") + 1
        if self._skip and self._is_left_out(raw):
            return lines
        if self.first is None and raw.strip(self._blank):
            self.first = self.line, raw
        fault = self._fault_of(raw)
        if fault:
            self._faults.append(fault)
            if fault.code == UNTERMINATED:
                raise self._faults.pop()
            opening = raw.partition("\n")[0]
            return 1 if fault.line == self.line and opening.count(self._delimiter) + 1 >= self.columns > 0 else lines
        if self._faults:
            return lines
        if self._is_blank(raw):
            self._skip_blank([self.line])
        else:
            found.lines.append(self.line)
            found.raws.append(raw)
        return lines

    def _is_blank(self, raw: str) -> bool:
        """Return whether all cells of the sound record `raw` are blank. A cell that is a quote is not."""
        if raw.strip(self._blank):
            return False
        return '"' not in raw or not any(cell.strip(BLANKS) for cell in self.cells(self.line, raw))

    def _is_left_out(self, raw: str) -> bool:
        """Leave out this record if it is one of the first that are, whatever its faults; return whether it was."""
        if not self.left_out.raws and is_correction(raw.replace('"', "").split(self._delimiter)):
            self._skip = 0
            return False
        self._skip -= 1
        if raw.strip(self._blank):
            self.first = self.first or (self.line, raw)
            self.left_out.lines.append(self.line)
            self.left_out.raws.append(raw[:MAX_CELL])
        self.begins_on = self.line + raw.count("\n") + 1
        return True

    def _fault_of(self, raw: str) -> FileError | None:
        """Return the fault of the record `raw`, which begins on the current line; None if there is none."""
        if len(raw) > _SHORT and (fault := self._past_limits(raw)):
            return fault
        if not is_sound(raw, self._delimiter):
            return quote_fault(self.line, raw, self._delimiter) or row_too_long(self.line)
        return nul(self.line + raw.count("\n", 0, raw.index("\0"))) if "\0" in raw else None

    def _past_limits(self, raw: str) -> FileError | None:
        line = self.line
        if len(raw) > MAX_ROW:
            return quote_fault(line, raw[:MAX_ROW], self._delimiter) or row_too_long(line)
        if len(raw) <= MAX_CELL and raw.count(self._delimiter) < MAX_COLUMNS:
            return None
        if not is_sound(raw, self._delimiter):
            return None
        cells = self.cells(line, raw)
        if len(cells) > MAX_COLUMNS:
            return FileError(
                "too_many_columns",
                f"Line {line} has {len(cells)} cells; at most {MAX_COLUMNS} are allowed. Remove some cells.",
                line=line,
            )
        if any(len(cell) > MAX_CELL for cell in cells):
            return FileError(
                "cell_too_long",
                f"A cell on line {line} has more than {MAX_CELL:,} characters. Shorten it, or look for a missing or "
                "extra quote that joins lines.",
                line=line,
            )
        return None

    def blank_lines_notice(self) -> Problem | None:
        """Return the notice about skipped blank lines; None if there are none."""
        if not self.blank_lines:
            return None
        first = self._first_blank_lines
        named = ", ".join(map(str, first)) + (", …" if self.blank_lines > len(first) else "")
        one = self.blank_lines == 1
        what = counted(self.blank_lines, "blank line was", "blank lines were")
        message = f"{what} skipped ({'line' if one else 'lines'} {named}). Nothing to do."
        return Problem(Severity.NOTICE, "blank_lines", message, first[0])


def _is_odd(piece: str) -> bool:
    return '"' in piece and piece.count('"') % 2 == 1
