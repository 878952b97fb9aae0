"""The beginning and the end of a file as advice looks at them: its rows, its header, and what is below.  Pure.

As an import counts them, what stands before the header and after the last row is counted in records, blank ones too.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from importer.file.edges import BeforeEndMark, is_sep_line
from importer.file.header import DELIMITERS
from importer.file.misread import PEEKED
from importer.file.nobody import looks_like_footer
from importer.rules.settings import ImportSettings

SAMPLE_BYTES = 4 * 1024 * 1024
END_BYTES = 64 * 1024
SAMPLE_ROWS = 20_000
SCORED_ROWS = 100
MOST_LEFT_OUT = 100

Meant = Callable[[Sequence[str]], int]
"""How many fields a header names; 0 where one that must be there is missing."""


@dataclass(frozen=True, slots=True)
class Sample:
    """`rows` are the header and the rows below it that are not blank; `left_out` records are before the header."""

    delimiter: str
    rows: Sequence[Sequence[str]]
    left_out: int


def sample_of(text: str, settings: ImportSettings, named: Meant, names_all: Meant) -> Sample:
    """The file that begins with `text`, in the delimiter that makes most of it.

    `named` counts the fields that a row of headers names, `names_all` only where all that must be there are.
    """
    text = _before_end(text)
    scores = {}
    for delimiter in dict.fromkeys((settings.delimiter, *DELIMITERS)):
        records = _records(text, delimiter, SCORED_ROWS)
        at = _header_at(records, settings, names_all)
        rows = [row for row in records[at:] if _is_filled(row)]
        width = len(rows[0]) if rows else 0
        alike = sum(len(row) == width for row in rows) / len(rows) if width > 1 else 0
        scores[delimiter] = (named(rows[0]) if width > 1 else 0, alike, width)
    best = max(scores, key=scores.__getitem__)
    records = _records(text, best, SAMPLE_ROWS)
    at = _header_at(records, settings, names_all)
    left_out = settings.skip_first_lines if at == _expected(records, settings) else at
    return Sample(best, [row for row in records[at:] if _is_filled(row)], left_out)


def _before_end(text: str) -> str:
    return "".join(part for part in BeforeEndMark([text]) if isinstance(part, str))


def footer_of(end: str, delimiter: str) -> int:
    """How many records at the end of a file are totals, counts or end marks; blank ones between them count."""
    records = _records(_before_end(end), delimiter, SAMPLE_ROWS)
    while records and not _is_filled(records[-1]):
        records.pop()
    found = 0
    for number, row in enumerate(reversed(records[1:]), 1):
        if looks_like_footer(row):
            found = number
        elif _is_filled(row):
            break
    return found if found <= MOST_LEFT_OUT else 0


def _header_at(records: Sequence[Sequence[str]], settings: ImportSettings, names_all: Meant) -> int:
    """Where the header is: where the settings say, unless another of the first records names all that must be."""
    expected = _expected(records, settings)
    if expected < len(records) and names_all(records[expected]):
        return expected
    for at, row in enumerate(records[: settings.skip_first_lines + PEEKED + 1]):
        if at <= MOST_LEFT_OUT and names_all(row):
            return at
    return expected


def _expected(records: Sequence[Sequence[str]], settings: ImportSettings) -> int:
    at = settings.skip_first_lines
    while at < len(records) and (not _is_filled(records[at]) or (at == 0 and is_sep_line(_joined(records[0])))):
        at += 1
    return at


def _joined(row: Sequence[str]) -> str:
    """A record that is a line `sep=,` comes apart at its own delimiter."""
    return ",".join(row)


def _is_filled(row: Sequence[str]) -> bool:
    return any(cell.strip() for cell in row)


def _records(text: str, delimiter: str, limit: int) -> list[list[str]]:
    """The first records, as far as they can be read."""
    records: list[list[str]] = []
    with suppress(csv.Error):
        records.extend(islice(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), limit))
    return records
