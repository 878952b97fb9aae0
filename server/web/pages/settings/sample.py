"""The examples of the form: columns of the newest file with some cells, and what each choice reads. Pure.

A file is read as advice reads it: with the delimiter and the header that fit best, because the settings may be wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import islice

from ground.words import counted
from importer.advice.guessing import decoded, guess_encoding
from importer.advice.headers import cells_of, meant_by_name
from importer.advice.sample import Sample as AdviceSample
from importer.advice.sample import sample_of
from importer.file.decoding import mark_of
from importer.file.header import fold, heading, match_columns
from importer.rules.cells import Invalid, check_date
from importer.rules.months import ENGLISH
from importer.rules.rulebook import rules_of
from importer.rules.settings import ImportSettings
from server.web.pages.settings.choices import DATES, DELIMITER_OPTIONS, DELIMITERS, ENCODINGS
from server.web.pages.settings.meanings import closed_fields

SAMPLE_BYTES = 64 * 1024
"""The bytes that are read of a file."""

ROWS_MOST = 200
"""The rows from which cells are shown. Words are searched in all rows that were read."""

WORDS_MOST = 30
SHOWN = 3
"""The number of cells that are shown of a column."""

CELL_MOST = 40
"""The longest cell that is shown, in characters."""

LETTERS_MOST = 100
"""The most words with special letters that are looked at."""

_DATES = frozenset({"hire_date", "leave_date"})
_WORD = re.compile(r"[^\s,;|\"<>()]+")
_NAMES = {
    "utf-8": "UTF-8",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "utf-32-le": "UTF-32",
    "utf-32-be": "UTF-32",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """The examples from the file of import `number`.

    `header` is `()` if no columns could be read. `cells` are some cells of a column, by its header as it is compared.
    `words` are the cells that need a meaning, by the field of a closed column; `closed` are the labels of its values.
    `previews` are sentences that name a choice and say what it reads, by setting and choice.
    """

    number: int
    header: tuple[str, ...] = ()
    cells: Mapping[str, Sequence[str]] = field(default_factory=dict)
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    closed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    previews: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def sample_from(
    number: int, content: bytes, settings: ImportSettings, *, whole: bool, typed: Mapping[str, str]
) -> Sample:
    """Return the sample of the file that begins with `content`; `whole`: that is all of it.

    `typed` has encodings and date formats that are not in the lists of choices.
    """
    encoding = guess_encoding(content, settings.encoding, whole=whole)
    text = decoded(content, encoding, whole=whole) if encoding else None
    encodings = _encodings(content, typed.get("encoding", ""), whole=whole)
    if not text:
        return Sample(number, previews={"encoding": encodings})
    if not whole:
        text = text.rpartition("\n")[0]  # the last row may be cut
    found = _read(text, settings)
    rows = found.rows
    header = tuple(rows[0]) if rows else ()
    cells: dict[str, tuple[str, ...]] = {}
    for at, cell in enumerate(header):
        different = list(dict.fromkeys(each for each in cells_of(rows[: ROWS_MOST + 1], at) if each))
        cells.setdefault(heading(cell), tuple(map(_cut, different[:SHOWN])))
    previews = {
        "delimiter": _delimiters(found.widths),
        "encoding": encodings,
        "date_format": _dates(rows, settings, typed.get("date_format", "")),
    }
    closed = closed_fields(settings.custom_fields)
    return Sample(number, header, cells, _words(rows, settings, closed), closed, previews)


def _read(text: str, settings: ImportSettings) -> AdviceSample:
    """Return the header and the rows below it, as advice reads them."""

    def named(row: Sequence[str]) -> int:
        return len(meant_by_name(row, settings))

    def names_all(row: Sequence[str]) -> int:
        meant = meant_by_name(row, settings)
        return len(meant) if all(name in meant for name in settings.names.required) else 0

    return sample_of(text, settings, named, names_all)


def _words(
    rows: Sequence[Sequence[str]], settings: ImportSettings, closed: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """Return the words of each closed column that its field does not accept, each once without regard to case."""
    if not rows:
        return {}
    rules = rules_of(settings.date_format, settings.custom_fields)
    fields = match_columns([heading(cell) for cell in rows[0]], settings.names)
    found = {}
    for at, name in enumerate(fields):
        if name in closed:
            words = {fold(cell): cell for cell in reversed(cells_of(rows, at)) if cell and len(cell) <= CELL_MOST}
            unread = (word for word in reversed(words.values()) if isinstance(rules[name](word), Invalid))
            found[name] = tuple(islice(unread, WORDS_MOST))
    return found


def _cut(cell: str) -> str:
    line = "".join(letter if letter.isprintable() else "\ufffd" for letter in " ".join(cell.split()))
    return line if len(line) <= CELL_MOST else f"{line[: CELL_MOST - 1]}…"


def _delimiters(widths: Mapping[str, int]) -> dict[str, str]:
    """Return how many columns the header has with each delimiter."""
    return {
        name: f"With {DELIMITER_OPTIONS[name]}, your newest file has {counted(width, 'column', 'columns')}."
        for character, name in DELIMITERS.items()
        if (width := widths[character])
    }


def _named(choice: str, names: Mapping[str, str]) -> str:
    """Return a choice as the form names it, or a value that was typed."""
    return names.get(choice) or f"“{_cut(choice)}”"


def _encodings(content: bytes, typed: str, *, whole: bool) -> dict[str, str]:
    """Return the words with special letters as each encoding reads them."""
    return {each: _in_encoding(content, each, whole=whole) for each in _choices("encoding", ENCODINGS, typed)}


def _choices(setting: str, offered: Iterable[str], typed: str) -> list[str]:
    """Return the choices `offered`, and what was `typed` below them if the setting accepts it.

    No other text is tried: Python also knows codecs that are not encodings, and some unpack kilobytes to gigabytes.
    """
    try:
        ImportSettings.model_validate({setting: typed})
    except ValueError:
        return [*offered]
    return [*offered, typed]


def _in_encoding(content: bytes, encoding: str, *, whole: bool) -> str:
    if marked := mark_of(content, encoding):
        name = marked[1].upper().removesuffix("-LE").removesuffix("-BE")
        return f"Your newest file itself says that it is {name}. That counts more than this setting."
    text = decoded(content, encoding, whole=whole)
    if text is None:
        return f"With {_named(encoding, ENCODINGS)}, your newest file cannot be read."
    found = (word[0] for word in _WORD.finditer(text) if not word[0].isascii())
    words = list(dict.fromkeys(islice(found, LETTERS_MOST)))[:SHOWN]
    if not words:
        name = _named(encoding, ENCODINGS)
        return f"With {name}, the beginning of your newest file has no letters such as é or ü."
    shown = ", ".join(f"“{_cut(word)}”" for word in words)
    return f"With {_named(encoding, ENCODINGS)}, your newest file has {shown}."


def _dates(rows: Sequence[Sequence[str]], settings: ImportSettings, typed: str) -> dict[str, str]:
    """Return the day that each date format reads in a cell of the file."""
    cells = _days(rows, settings)
    if not cells:
        return {}
    choices = _choices("date_format", DATES, typed)
    return {each: sentence for each in choices if (sentence := _in_format(cells, each))}


def _in_format(cells: Sequence[str], date_format: str) -> str:
    days = [check_date(cell, date_format) for cell in cells]
    read = [(cell, day) for cell, day in zip(cells, days, strict=True) if not isinstance(day, Invalid)]
    wrong = next((cell for cell, day in zip(cells, days, strict=True) if isinstance(day, Invalid)), "")
    name = _named(date_format, DATES)
    if not read:
        return f"With {name}, “{_cut(wrong)}” in your newest file cannot be read."
    cell, day = read[0]
    unread = f" “{_cut(wrong)}” cannot be read." if wrong else ""
    return f"With {name}, “{_cut(cell)}” in your newest file is {_day_in_words(day)}.{unread}"


def _day_in_words(iso: str) -> str:
    day = date.fromisoformat(iso)
    return f"{day.day} {ENGLISH[day.month - 1]} {day.year}"


def _days(rows: Sequence[Sequence[str]], settings: ImportSettings) -> list[str]:
    """Return the different cells of the first column that has dates, by its name."""
    if not rows:
        return []
    kinds = _DATES | {each.key for each in settings.custom_fields if each.type == "date"}
    positions = sorted(each.at for name, each in meant_by_name(rows[0], settings).items() if name in kinds)
    columns = (list(dict.fromkeys(cell for cell in cells_of(rows, at) if cell)) for at in positions)
    return next((cells for cells in columns if cells), [])
