"""The grammar of one record, by RFC 4180 and nothing more lenient, and what to say where it is broken.  Pure."""

from __future__ import annotations

import re

from importer.errors import FileError

MAX_ROW = 1024 * 1024
"""The most characters a row may have."""

QUOTED_CELL = re.compile(r'"[^"]*+(?:""[^"]*+)*+"')


def _cell_pattern(delimiter: str) -> str:
    return rf'(?:{QUOTED_CELL.pattern}|[^"{re.escape(delimiter)}\r\n]*+)'


def record_pattern(delimiter: str) -> re.Pattern[str]:
    cell = _cell_pattern(delimiter)
    return re.compile(rf"{cell}(?:{re.escape(delimiter)}{cell})*+")


def quote_fault(line: int, raw: str, delimiter: str) -> FileError | None:
    """The first thing wrong with the quotes of a record that begins on `line`; None if nothing is."""
    sound = re.match(rf"(?:{_cell_pattern(delimiter)}{re.escape(delimiter)})*+", raw)
    at = sound.end() if sound else 0
    line += raw.count("\n", 0, at)
    if raw.startswith('"', at):
        closed = QUOTED_CELL.match(raw, at)
        if not closed:
            return _unterminated(line)
        if closed.end() == len(raw):
            return None
        return _lone_cr(line) if raw[closed.end()] == "\r" else _text_after_quote(line)
    fault = re.compile('[\r"]').search(raw, at)
    if not fault:
        return None
    return _lone_cr(line) if fault[0] == "\r" else _stray_quote(line)


def _unterminated(line: int) -> FileError:
    return FileError(
        "unterminated_quote",
        f'A quote that opens on line {line} is never closed. Add the closing " or remove the opening one; '
        'a " that belongs to a text is written "".',
        line=line,
    )


def _text_after_quote(line: int) -> FileError:
    return FileError(
        "misplaced_quote",
        f"A quoted cell that opens on line {line} is followed by text instead of the next cell. "
        'A " that belongs to a text is written "".',
        line=line,
    )


def _stray_quote(line: int) -> FileError:
    return FileError(
        "misplaced_quote",
        f'On line {line} there is a " inside a cell that does not begin with one. Put the whole cell in quotes '
        'and write the " twice (""), or remove it; there must be no space before an opening quote.',
        line=line,
    )


def _lone_cr(line: int) -> FileError:
    return FileError(
        "lone_carriage_return",
        f"Line {line} contains a carriage return that is not part of a line end. Save the file with Windows (CRLF) "
        "or Unix (LF) line ends.",
        line=line,
    )


def nul(line: int) -> FileError:
    return FileError(
        "nul_character",
        f"Line {line} contains a NUL character: the file is damaged, or in an encoding that was not expected. "
        "Save it as “CSV UTF-8” and send it again.",
        line=line,
    )


def row_too_long(line: int) -> FileError:
    return FileError(
        "row_too_long",
        f"The row on line {line} has more than {MAX_ROW:,} characters. Check that the file has line ends.",
        line=line,
    )
