"""Lines before the header and after the last row: Excel's `sep=;`, an end mark, skipped lines. Pure."""

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
"""Ctrl-Z, which old programs write at the end of a file."""

LONGEST_END = 64 * 1024
"""The most characters of end marks and blanks at the end of a file; a longer run is text."""

LINE_SHOWN = 60
"""The most characters of a line that a message quotes."""

_SEP = re.compile(r'\ufeff?\s*"?\s*sep\s*=\s*(\\t|[^\s"\w]|\t)?\s*"?[,;|\t]*\s*', re.IGNORECASE)


@dataclass(slots=True)
class Batch:
    """Consecutive records: the physical line on which each begins, and its text without the line end.

    The known lines of `blocks` lie between them and were not parsed.
    """

    lines: list[int]
    raws: list[str]
    blocks: list[Block] = field(default_factory=list)


class BeforeEndMark:
    """Iterates once over `text` without the end marks at its end.

    `found` is true, after the iteration, if there was one. An end mark counts if it begins a line or if no line end
    follows it, and only end marks and blanks follow it.
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
    message = "An old end-of-file mark (Ctrl-Z) at the end of the file was skipped. Nothing to do."
    return Problem(Severity.NOTICE, "end_mark", message, line)


def is_sep_line(raw: str) -> bool:
    """Return whether the record `raw` is a `sep=` line, which names the delimiter for a spreadsheet."""
    return len(raw) <= LINE_SHOWN and _SEP.fullmatch(raw) is not None


def read_sep_line(raw: str, line: int, delimiter: str) -> Problem:
    """Return the notice about a `sep=` line. Raises FileError if it does not name `delimiter`."""
    found = _SEP.fullmatch(raw)
    named = (found[1] or "") if found else ""
    named = "\t" if named == "\\t" or (not named and "\t" in raw) else named
    named = named or next((each for each in DELIMITERS if each in raw), "")
    quoted = f"The first line, “{excerpt(raw)}”,"
    if named == delimiter:
        message = f"{quoted} was skipped: it only tells a spreadsheet the delimiter. Nothing to do."
        return Problem(Severity.NOTICE, "sep_line", message, line)
    expected = DELIMITERS[delimiter]
    if named in DELIMITERS:
        raise FileError(
            "wrong_delimiter",
            f"{quoted} says that the columns are separated by {DELIMITERS[named]}, but {expected} are expected. "
            f"Save the file with {expected} and without this line, or change the delimiter setting.",
            line=line,
        )
    raise FileError(
        "wrong_delimiter",
        f"{quoted} names a delimiter that Headcount cannot read. Save the file with {expected} and without this "
        "line.",
        line=line,
    )


def excerpt(raw: str) -> str:
    """Return the beginning of a line, as messages quote it: at most `LINE_SHOWN` characters."""
    text = visible(one_line(raw))
    return text if len(text) <= LINE_SHOWN else f"{text[: LINE_SHOWN - 1]}…"


def end_of(line: int, raw: str) -> int:
    """Return the physical line after the record `raw`, which begins on `line`."""
    return line + raw.count("\n") + 1


def without_last(batch: Batch, left_out: int) -> tuple[Batch, Batch]:
    """Split the last records of a file into all but the last `left_out` lines, and those. Blank lines count."""
    at, left = len(batch.raws), left_out
    while left > 0 and at > 0:
        at -= 1
        left -= 1
        if at:
            left -= batch.lines[at] - end_of(batch.lines[at - 1], batch.raws[at - 1])
    return Batch(batch.lines[:at], batch.raws[:at]), Batch(batch.lines[at:], batch.raws[at:])
