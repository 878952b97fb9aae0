"""Which settings would make a file fit: a proposal that a person looks at before it is loaded.  Pure.

Encoding, delimiter, headers that look like our fields, and the form of dates are guessed from the beginning of the
file. What is proposed changes no setting that fits already.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice

from importer.advice.guessing import decoded, guess_encoding
from importer.advice.leavers import read_leavers
from importer.advice.synonyms import MANAGERS_NUMBERS, NUMBERS, SYNONYMS, plain
from importer.file.edges import BeforeEndMark, is_sep_line
from importer.file.header import DELIMITERS, NEVER_NEAR, Header, Names, fold, match_columns
from importer.file.leavers import Tells, tells
from importer.file.letters import visible
from importer.file.nobody import is_header_again, looks_like_footer
from importer.model import shown
from importer.nearest import Nearest
from importer.rules.cells import Invalid, check_date
from importer.rules.identity import identity_of
from importer.rules.meanings import tidy
from importer.rules.settings import ImportSettings

SAMPLE_BYTES = 4 * 1024 * 1024
SAMPLE_ROWS = 1000
SAMPLE_DAYS = 300
MOSTLY = 0.9
"""So much of a column must fit for it to be of a kind."""

DAYS = (
    *("%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d"),
    *("%m/%d/%y", "%d/%m/%y", "%d.%m.%y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"),
)
TIMES = ("", " %H:%M", " %H:%M:%S", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
DATE_FORMATS = tuple(f"{day}{time}" for time in TIMES for day in DAYS)
"""Of those that read a file equally well, the first is proposed."""


@dataclass(slots=True)
class Proposal:
    """`changes` by the name of the setting, a sentence for each in `reasons`; `gaps` is what no setting can mend."""

    changes: dict[str, object] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)


def propose(content: bytes, settings: ImportSettings, *, whole: bool = True) -> Proposal:
    """What would make the file that begins with `content` fit; `whole`: nothing comes after it."""
    found = Proposal()
    encoding = guess_encoding(content, settings.encoding, whole=whole)
    if encoding is None:
        found.gaps.append("Nobody can tell what encoding the file is in. Save it as “CSV UTF-8”.")
        return found
    if encoding != settings.encoding:
        found.changes["encoding"] = encoding
        found.reasons.append(f"The file is not in {settings.encoding}; it looks like {encoding}.")
    text = _without_edges(decoded(content, encoding, whole=whole) or "")
    delimiter = _delimiter(text, settings)
    if delimiter != settings.delimiter:
        found.changes["delimiter"] = delimiter
        found.reasons.append(f"The columns are separated by {DELIMITERS[delimiter]}.")
    rows = _rows(text, delimiter)
    if not rows:
        return found
    if len(rows[0]) == 1 and any(each in rows[0][0] for each in DELIMITERS):
        found.gaps.append("Every line stands in quotes as a whole, so its columns cannot be told apart.")
        return found
    mapping = _propose_mapping(found, rows, settings)
    names = replace(settings.names, mapping={fold(theirs): ours for theirs, ours in mapping.items()})
    columns = match_columns([fold(cell) for cell in rows[0]], names)
    found.gaps += [
        f"No column looks like {name}, which is required." for name in names.required if name not in columns
    ]
    header = Header(columns, tuple(rows[0]), is_correction=False)
    people = [rows[0], *(row for row in rows[1:] if not is_header_again(row, header) and not looks_like_footer(row))]
    _propose_dates(found, _days(people, columns, settings), settings)
    _propose_leavers(found, rows, columns, names, settings)
    return found


def _without_edges(text: str) -> str:
    """`text` without Excel's line `sep=;` and without an end mark: no file has columns in them."""
    first, line_end, rest = text.partition("\n")
    return "".join(BeforeEndMark([rest if line_end and is_sep_line(first.strip()) else text]))


def _propose_leavers(
    found: Proposal, rows: Sequence[Sequence[str]], columns: Sequence[str], names: Names, settings: ImportSettings
) -> None:
    """Add how to read the columns that tell who has left."""
    date_format = str(found.changes.get("date_format", settings.date_format))
    free = [at for at, cell in enumerate(rows[0]) if not columns[at] and _is_free(fold(cell), names)]
    leavers = read_leavers(rows, free, columns, settings, date_format)
    if leavers.fields:
        before = found.changes.get("field_mapping", settings.field_mapping)
        assert isinstance(before, Mapping)
        new = {rows[0][at].strip(): name for at, name in sorted(leavers.fields.items())}
        found.changes["field_mapping"] = {**before, **new}
    if leavers.words:
        found.changes["value_mapping"] = {**settings.value_mapping, **leavers.words}
    if found.changes:
        found.reasons += leavers.reasons


def _rows(text: str, delimiter: str, limit: int = SAMPLE_ROWS) -> list[list[str]]:
    """The first records that are not blank, as far as they can be read."""
    rows: list[list[str]] = []
    with suppress(csv.Error):
        rows.extend(islice(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), limit))
    return [row for row in rows if any(cell.strip() for cell in row)]


# Delimiter.


def _delimiter(text: str, settings: ImportSettings) -> str:
    """The delimiter that gives the most columns that mean something, then the most alike rows."""
    scores = {}
    for delimiter in (settings.delimiter, *DELIMITERS):
        rows = _rows(text, delimiter, 100)
        width = len(rows[0]) if rows else 0
        alike = sum(len(row) == width for row in rows) / len(rows) if width > 1 else 0
        meant = len(_meant(rows[0], settings)) if width > 1 else 0
        scores[delimiter] = (meant, alike, width)
    return max(scores, key=scores.__getitem__)


# Headers.


def _meant(header: Sequence[str], settings: ImportSettings) -> dict[str, int]:
    """The position of each field in `header`: by its name or the settings, else by what its header looks like."""
    names = settings.names
    folded = [fold(cell) for cell in header]
    found = {name: at for at, name in enumerate(match_columns(folded, names)) if name}
    free = {at: plain(cell) for at, cell in enumerate(header) if _is_free(folded[at], names)}
    for name, words in _words(settings).items():
        if name in found:
            continue
        rank = {word: number for number, word in enumerate(words)}
        fitting = [at for at, word in free.items() if word in rank]
        if fitting:
            found[name] = min(fitting, key=lambda at: rank[free[at]])
            del free[found[name]]
    nearest = Nearest(name for name in names.columns if name not in NEVER_NEAR)
    for at in free:
        if tells(header[at]):
            continue  # never by a likeness of names: it may be the opposite
        near = nearest.to(folded[at].replace(" ", "_"), at_least=0.75)
        if near and near not in found:
            found[near] = at
    return found


def _is_free(name: str, names: Names) -> bool:
    return bool(name) and not name.startswith("_") and name not in names.mapping and not names.field(name)


def _words(settings: ImportSettings) -> Mapping[str, Sequence[str]]:
    """Likely headers of each field; with numbers as identifiers, managers are named by theirs."""
    own: dict[str, tuple[str, ...]] = {
        each.key: (plain(each.key), plain(each.label)) for each in settings.custom_fields
    }
    if identity_of(settings).by_address:
        return {**own, **SYNONYMS}
    own[settings.identifier] = (*own[settings.identifier], *NUMBERS)
    return {**own, **SYNONYMS, "manager": (*MANAGERS_NUMBERS, *SYNONYMS["manager"])}


def _propose_mapping(found: Proposal, rows: Sequence[Sequence[str]], settings: ImportSettings) -> dict[str, str]:
    """The field_mapping, with what is added to it."""
    header = rows[0]
    matched = match_columns([fold(cell) for cell in header], settings.names)
    meant = _meant(header, settings)
    reasons = {}
    for name, at in meant.items():
        if not matched[at]:
            reasons[at] = (name, f"“{_seen(header[at])}” looks like {name}.")
    if "email" not in meant:
        addresses = _addresses(rows, [at for at in range(len(header)) if not matched[at] and at not in reasons])
        if addresses is not None:
            reasons[addresses] = ("email", f"“{_seen(header[addresses])}” holds e-mail addresses.")
    if not reasons:
        return settings.field_mapping
    mapping = {**settings.field_mapping, **{header[at].strip(): name for at, (name, _) in sorted(reasons.items())}}
    found.changes["field_mapping"] = mapping
    found.reasons += [reason for _, (_, reason) in sorted(reasons.items())]
    return mapping


def _addresses(rows: Sequence[Sequence[str]], positions: Sequence[int]) -> int | None:
    """The first of these columns that holds e-mail addresses; None if none does."""
    for at in positions:
        cells = [row[at].strip() for row in rows[1:] if at < len(row)]
        if rows[0][at].strip() and cells and sum("@" in cell for cell in cells) >= MOSTLY * len(cells):
            return at
    return None


def _seen(cell: str) -> str:
    return shown(visible(cell.strip()))


# Dates.


def _days(rows: Sequence[Sequence[str]], columns: Sequence[str], settings: ImportSettings) -> list[str]:
    """Different cells of columns that hold days."""
    own = {each.key for each in settings.custom_fields if each.type == "date"}
    at = [position for position, name in enumerate(columns) if name in ("hire_date", "leave_date") or name in own]
    at = at or [position for position, cell in enumerate(rows[0]) if tells(cell) is Tells.LAST_DAY]
    cells = (tidy(row[position]) for row in rows[1:] for position in at if position < len(row))
    return list(islice(dict.fromkeys(cell for cell in cells if cell), SAMPLE_DAYS))


def _propose_dates(found: Proposal, cells: Sequence[str], settings: ImportSettings) -> None:
    read = {each: _read(cells, each) for each in (settings.date_format, *DATE_FORMATS)}
    best = max(read, key=lambda each: len(read[each]))
    if best == settings.date_format or len(read[best]) < MOSTLY * len(cells):
        return
    others = [
        each for each in read if each != best and len(read[each]) == len(read[best]) and read[each] != read[best]
    ]
    found.changes["date_format"] = best
    doubt = f" They could as well be {others[0]}: look at a date whose day you know." if others else ""
    found.reasons.append(f"Dates are written as {best}.{doubt}")


def _read(cells: Sequence[str], date_format: str) -> dict[str, str]:
    days = {cell: check_date(cell, date_format) for cell in cells}
    return {cell: day for cell, day in days.items() if not isinstance(day, Invalid)}
