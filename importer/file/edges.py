"""What stands before the header and after the last row: Excel's line `sep=;`, an end mark, titles, totals.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from importer.errors import FileError
from importer.file.blocks import Block
from importer.file.header import DELIMITERS
from importer.file.letters import one_line, visible
from importer.model import Problem, Severity

END_MARK = "\x1a"
"""Ctrl-Z, with which old programs end a file."""

LONGEST_END = 64 * 1024
"""End marks and blanks of more than so many characters are text like any other."""

LINE_SHOWN = 60
"""A line is quoted up to this many characters."""

_SEP = re.compile(r'\ufeff?\s*"?\s*sep\s*=\s*(\\t|[^\s"\w]|\t)?\s*"?[,;|\t]*\s*', re.IGNORECASE)


@dataclass(slots=True)
class Batch:
    """Records that follow each other: the physical line each begins on, and its text without the line end.

    Between them are the known ones of `blocks`, which nobody has looked at.
    """

    lines: list[int]
    raws: list[str]
    blocks: list[Block] = field(default_factory=list)


class BeforeEndMark:
    """Iterates over `text` without the end marks at its end; may be iterated once.

    `found`, at the end: there was one. An end mark counts where it begins a line, or where no line end comes after
    it; what follows it is only end marks and blanks.
    """

    def __init__(self, text: Iterable[str | Block]) -> None:
        self.found = False
        self._text = text

    def __iter__(self) -> Iterator[str | Block]:
        held, before = "", "\n"
        for block in self._text:
            if isinstance(block, Block):
                if held:
                    yield held
                held, before = "", "\n"
                yield block
                continue
            text = held + block
            held = ""
            stripped = text.rstrip(" \t\r\n")
            if stripped.endswith(END_MARK) and len(text) - len(stripped) < LONGEST_END:
                start = text.index(END_MARK, len(stripped.rstrip(f"{END_MARK} \t\r\n")))
                text, held = text[:start], text[start:]
                if len(held) > LONGEST_END:
                    text, held = text + held, ""
            if text:
                before = text[-1]
                yield text
        if held and (before == "\n" or "\n" not in held):
            self.found = True
        elif held:
            yield held


def end_mark_skipped(line: int) -> Problem:
    message = "An old end-of-file mark (Ctrl-Z) at the end of the file was skipped. Nothing needs to be done."
    return Problem(Severity.NOTICE, "end_mark", message, line)


def is_sep_line(raw: str) -> bool:
    """Whether the record `raw` is the line with which a spreadsheet is told the delimiter."""
    return len(raw) <= LINE_SHOWN and _SEP.fullmatch(raw) is not None


def read_sep_line(raw: str, line: int, delimiter: str) -> Problem:
    """What to say of this first line. Raises FileError if it does not name `delimiter`."""
    found = _SEP.fullmatch(raw)
    named = (found[1] or "") if found else ""
    named = "\t" if named == "\\t" or (not named and "\t" in raw) else named
    named = named or next((each for each in DELIMITERS if each in raw), "")
    quoted = f"The first line, “{excerpt(raw)}”,"
    if named == delimiter:
        message = f"{quoted} was skipped: it only tells a spreadsheet the delimiter. Nothing needs to be done."
        return Problem(Severity.NOTICE, "sep_line", message, line)
    expected = DELIMITERS[delimiter]
    if named in DELIMITERS:
        raise FileError(
            "wrong_delimiter",
            f"{quoted} says that the columns are separated by {DELIMITERS[named]}, but {expected} are expected. "
            f"Save the file with {expected} and without this line, or have the delimiter setting changed.",
            line=line,
        )
    raise FileError(
        "wrong_delimiter",
        f"{quoted} names a delimiter that no setting can name. Save the file with {expected} and without this line.",
        line=line,
    )


def excerpt(raw: str) -> str:
    """The beginning of a line as a message quotes it."""
    text = visible(one_line(raw))
    return text if len(text) <= LINE_SHOWN else f"{text[: LINE_SHOWN - 1]}…"


def end_of(line: int, raw: str) -> int:
    """The physical line after the record `raw` that begins on `line`."""
    return line + raw.count("\n") + 1


def without_last(batch: Batch, left_out: int) -> tuple[Batch, Batch]:
    """`batch`, the last records of a file, without the last `left_out`; and those. Blank lines between them count."""
    at, left = len(batch.raws), left_out
    while left > 0 and at > 0:
        at -= 1
        left -= 1
        if at:
            left -= batch.lines[at] - end_of(batch.lines[at - 1], batch.raws[at - 1])
    return Batch(batch.lines[:at], batch.raws[:at]), Batch(batch.lines[at:], batch.raws[at:])
