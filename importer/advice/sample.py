"""The beginning and the end of a file as advice reads them: header, rows, and the lines before and after.  Pure.

Lines before the header and after the last row are counted in records, with blank ones, as an import counts them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from importer.file.edges import BeforeEndMark, is_sep_line
from importer.file.header import DELIMITERS
from importer.file.misread import PEEKED
from importer.file.non_users import looks_like_footer
from importer.rules.settings import ImportSettings

SAMPLE_BYTES = 4 * 1024 * 1024
END_BYTES = 64 * 1024
SAMPLE_ROWS = 20_000
SCORED_ROWS = 100
MOST_LEFT_OUT = 100

Meant = Callable[[Sequence[str]], int]
"""Counts the fields that a header names; 0 if a required one is missing."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The sample of a file: the header and the `rows` below it without blank ones; `left_out` records precede it.

    `widths` is the number of cells that the header has with each delimiter.
    """

    delimiter: str
    rows: Sequence[Sequence[str]]
    left_out: int
    widths: Mapping[str, int]


def sample_of(text: str, settings: ImportSettings, named: Meant, names_all: Meant) -> Sample:
    """Return the sample of the file that begins with `text`, read with the delimiter that fits best.

    `named` counts the fields that a header names; `names_all` does so only if all required ones are there.
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
    widths = {delimiter: width for delimiter, (_, _, width) in scores.items()}
    return Sample(best, [row for row in records[at:] if _is_filled(row)], left_out, widths)


def _before_end(text: str) -> str:
    return "".join(part for part in BeforeEndMark([text]) if isinstance(part, str))


def footer_of(end: str, delimiter: str) -> int:
    """Return how many records at the end of a file are totals, counts or end marks, with blank ones between."""
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
    """Return where the header is: where the settings say, unless only another record names all required fields."""
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
    """Join a record again: a line `sep=,` is split at its own delimiter."""
    return ",".join(row)


def _is_filled(row: Sequence[str]) -> bool:
    return any(cell.strip() for cell in row)


def _records(text: str, delimiter: str, limit: int) -> list[list[str]]:
    """Return the first records, as far as they can be read."""
    records: list[list[str]] = []
    with suppress(csv.Error):
        records.extend(islice(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), limit))
    return records
