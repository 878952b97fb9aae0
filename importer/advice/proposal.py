"""Propose settings that make a file fit. A person reviews them before they are loaded.  Pure.

The proposal is guessed from the beginning of the file; lines to skip at the end are guessed from its end. It changes
no setting that fits already. It consists of parts: a part that makes the result worse can be left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from importer.advice.dates import SAMPLE_DAYS, Fit, best_fit, sentence_of
from importer.advice.guessing import decoded, guess_encoding
from importer.advice.headers import Likely, addresses_at, cells_of, is_free, meant_by_name, seen
from importer.advice.leavers import ANY_DAY, read_leavers
from importer.advice.model import Part, changes_of
from importer.advice.names import holds_names, is_address_of_another, names_manager, whole_names, wrong_names
from importer.advice.numbers import better_identifier
from importer.advice.sample import SAMPLE_BYTES, footer_of, sample_of
from importer.advice.values import Values, part_of, values_of
from importer.file.header import DELIMITERS, Header, fold, is_correction, match_columns
from importer.file.leavers import Tells, tells_beside
from importer.file.non_users import is_header_again, looks_like_footer
from importer.rules.meanings import columns_under
from importer.rules.settings import ImportSettings

__all__ = ["SAMPLE_BYTES", "Proposal", "propose"]

HALF = 0.5
"""The share of its values that the field must accept if a column only looks like the field."""

LINKS = ("manager", "coach")


@dataclass(slots=True)
class Proposal:
    """Changes that make the file fit, in parts. `notes` are sentences without a setting, by the column or None.

    `gaps` are the problems that no setting can fix; `open` are the words to complete, by table of the settings.
    `header` is the header as it is in the file; `()` if none was found.
    """

    now: ImportSettings
    parts: list[Part] = field(default_factory=list)
    notes: list[tuple[int | None, str]] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    open: dict[str, dict[str, str]] = field(default_factory=dict)
    header: tuple[str, ...] = ()

    @property
    def changes(self) -> dict[str, Any]:
        return changes_of(self.parts, self.now)

    @property
    def reasons(self) -> list[str]:
        return [*(part.said for part in self.parts), *(note for _, note in self.notes)]

    def leave_open(self, table: str, words: Mapping[str, str]) -> None:
        if words:
            self.open[table] = {**self.open.get(table, {}), **words}


def propose(
    content: bytes,
    settings: ImportSettings,
    *,
    whole: bool = True,
    end: bytes = b"",
    has_users: bool = False,
    numbered: frozenset[str] = frozenset(),
    past: str = ANY_DAY,
) -> Proposal:
    """Propose changes that make the file that begins with `content` fit.

    `whole`: `content` is the whole file; else `end` is the end of the file. `has_users`: the company has users;
    `numbered`: see `better_identifier`. Last days before `past` are over.
    """
    found = Proposal(settings)
    encoding = guess_encoding(content, settings.encoding, whole=whole)
    if encoding is None:
        found.gaps.append("The encoding of the file is unknown. Save the file as “CSV UTF-8”.")
        return found
    if encoding != settings.encoding:
        sentence = f"The file is not in {settings.encoding}; it looks like {encoding}."
        found.parts.append(Part(sentence, encoding.startswith("utf"), settings={"encoding": encoding}))
    text = decoded(content, encoding, whole=whole) or ""
    sample = sample_of(
        text,
        settings,
        lambda row: len(meant_by_name(row, settings)),
        lambda row: _names_all(row, settings),
    )
    if sample.delimiter != settings.delimiter:
        sentence = f"The columns are separated by {DELIMITERS[sample.delimiter]}."
        found.parts.append(Part(sentence, True, settings={"delimiter": sample.delimiter}))
    rows = sample.rows
    if not rows:
        return found
    if len(rows[0]) == 1 and any(each in rows[0][0] for each in DELIMITERS):
        found.gaps.append("Every line is in quotes as a whole, so its columns cannot be read.")
        return found
    found.header = tuple(rows[0])
    if sample.left_out != settings.skip_first_lines:
        sentence = f"The header is not where the settings expect it: {_records(sample.left_out)} above it."
        found.parts.append(Part(sentence, True, settings={"skip_first_lines": sample.left_out}))
    _columns(found, rows, settings, has_users=has_users, numbered=numbered, past=past)
    if not is_correction(rows[0]):
        _footer(found, text if whole else _text_of(end, encoding), sample.delimiter, settings)
    return found


def _records(number: int) -> str:
    if not number:
        return "there are no lines"
    return "there is 1 line" if number == 1 else f"there are {number} lines"


def _names_all(row: Sequence[str], settings: ImportSettings) -> int:
    meant = meant_by_name(row, settings)
    return len(meant) if all(name in meant for name in settings.names.required) else 0


def _text_of(end: bytes, encoding: str) -> str:
    """Return the last lines of a file, from the first complete one."""
    return end.decode(encoding, "replace").partition("\n")[2]


def _footer(found: Proposal, end: str, delimiter: str, settings: ImportSettings) -> None:
    left_out = footer_of(end[-SAMPLE_BYTES // 64 :], delimiter)
    if left_out > settings.skip_last_lines:
        what = "The last line looks" if left_out == 1 else f"The last {left_out} lines look"
        sentence = f"{what} like a total or the end of the list. The system may write that in every file."
        found.parts.append(Part(sentence, settings={"skip_last_lines": left_out}))


# Columns.


def _columns(
    found: Proposal,
    rows: Sequence[Sequence[str]],
    settings: ImportSettings,
    *,
    has_users: bool,
    numbered: frozenset[str],
    past: str,
) -> None:
    """Add the proposals for the columns and for the values in them."""
    meant = meant_by_name(rows[0], settings)
    mapped = match_columns([fold(cell) for cell in rows[0]], settings.names)
    _find_addresses(rows, meant, mapped)
    _find_managers_addresses(rows, meant, mapped, settings)
    numbers = better_identifier(
        _people(rows, _fields(rows, meant)), meant, settings, has_users=has_users, numbered=numbered
    )
    by_number = numbers.part.headers if numbers.part else {}
    if numbers.part:
        found.parts.append(numbers.part)
    if numbers.note:
        found.notes.append((None, numbers.note))
    for theirs, ours in by_number.items():
        at = next(at for at, cell in enumerate(rows[0]) if cell.strip() == theirs)
        meant[ours] = Likely(at, False)
    if not {"first_name", "last_name"} <= meant.keys():
        whole = (whole_names(cell, cells_of(rows, at)) for at, cell in enumerate(rows[0]))
        found.gaps += [each.sentence for each in whole if each]
    found.gaps += [
        f"No column looks like {name}, which is required." for name in settings.names.required if name not in meant
    ]
    others = addresses_at(rows, range(len(rows[0]))) if "email" not in meant else None
    if others is not None:
        found.gaps.append(
            f"“{seen(rows[0][others])}” seems to hold private addresses or addresses of other people, so it is not "
            "suggested as email."
        )
    people = _people(rows, _fields(rows, meant))
    form = best_fit(_days(people, _fields(rows, meant), settings), settings.date_format)
    new = {name: likely for name, likely in meant.items() if not mapped[likely.at]}
    fit = settings.with_changes({"date_format": form.date_format})
    _headers(found, people, {name: each for name, each in new.items() if name not in by_number.values()}, fit)
    _values(found, people, {name: likely for name, likely in meant.items() if name not in new}, fit)
    _names_of_users(found, people, meant, mapped, settings)
    _dates(found, form, settings)
    _leavers(found, people, _fields(rows, meant), fit, form, past)


def _fields(rows: Sequence[Sequence[str]], meant: Mapping[str, Likely]) -> list[str]:
    """Return the field of each column; "" for none."""
    fields = [""] * len(rows[0])
    for name, likely in meant.items():
        fields[likely.at] = name
    return fields


def _people(rows: Sequence[Sequence[str]], fields: Sequence[str]) -> list[Sequence[str]]:
    """Return the header and the rows that may be users: without repeated headers and totals."""
    header = Header(tuple(fields), tuple(rows[0]), is_correction=False)
    return [rows[0], *(row for row in rows[1:] if not is_header_again(row, header) and not looks_like_footer(row))]


def _find_addresses(rows: Sequence[Sequence[str]], meant: dict[str, Likely], mapped: Sequence[str]) -> None:
    if "email" in meant:
        return
    taken = {likely.at for likely in meant.values()}
    free = [at for at in range(len(rows[0])) if not mapped[at] and at not in taken]
    at = addresses_at(rows, [at for at in free if not is_address_of_another(rows[0][at])])
    if at is not None:
        meant["email"] = Likely(at, False)


def _find_managers_addresses(
    rows: Sequence[Sequence[str]], meant: dict[str, Likely], mapped: Sequence[str], settings: ImportSettings
) -> None:
    """Use the column with the managers' addresses, not the one with their names, unless the settings name that."""
    likely = meant.get("manager")
    if likely is None or not holds_names(cells_of(rows, likely.at)):
        return
    if fold(rows[0][likely.at]) in settings.names.mapping:
        return
    taken = {each.at for each in meant.values()}
    for at, cell in enumerate(rows[0]):
        filled = [each for each in cells_of(rows, at) if each]
        is_free_ = not mapped[at] and at not in taken and names_manager(cell)
        if is_free_ and filled and all("@" in each for each in filled):
            meant["manager"] = Likely(at, False)
            return


def _headers(
    found: Proposal, rows: Sequence[Sequence[str]], new: Mapping[str, Likely], settings: ImportSettings
) -> None:
    """Add a part for each column that looks like a field, with the meanings of its words."""
    columns = columns_under(settings)
    for name, likely in sorted(new.items(), key=lambda each: each[1].at):
        header, cells = rows[0][likely.at], cells_of(rows, likely.at)
        values = values_of(name, cells, columns[name], settings)
        if name not in settings.names.required and (values.fit < HALF or (name in LINKS and holds_names(cells))):
            what = "names no users by address or identifier" if name in LINKS else "its values do not fit"
            found.notes.append((likely.at, f"“{seen(header)}” looks like {name}, but {what}; it is not read."))
            continue
        holds = name == "email" and not any(cell and "@" not in cell for cell in cells)
        by_content = holds and addresses_at(rows, [likely.at]) is not None and not likely.certain
        sentence = (
            f"“{seen(header)}” holds email addresses." if by_content else f"“{seen(header)}” looks like {name}."
        )
        found.parts.append(
            Part(
                sentence,
                likely.certain or by_content,
                headers={header.strip(): name},
                words={name: values.words} if values.words else {},
                column=likely.at,
                open={f"value_mapping.{name}": values.unknown} if values.unknown else {},
            )
        )
        if values.unknown:
            found.notes.append((likely.at, values.note))


def _values(
    found: Proposal, rows: Sequence[Sequence[str]], known: Mapping[str, Likely], settings: ImportSettings
) -> None:
    """Add the meanings of words in columns that are read already."""
    columns = columns_under(settings)
    for name, likely in sorted(known.items(), key=lambda each: each[1].at):
        values = values_of(name, cells_of(rows, likely.at), columns[name], settings)
        if values.words:
            found.parts.append(part_of(name, rows[0][likely.at], likely.at, values))
        _leave_open(found, name, likely.at, values)


def _names_of_users(
    found: Proposal,
    rows: Sequence[Sequence[str]],
    meant: Mapping[str, Likely],
    mapped: Sequence[str],
    settings: ImportSettings,
) -> None:
    """Add what is wrong with the cells of columns that identify users."""
    proposed = {part.column for part in found.parts if part.headers}
    changes = found.changes
    words = changes.get("value_mapping", settings.value_mapping)
    for name in ("email", *LINKS):
        at = meant[name].at if name in meant else None
        if at is None or name in settings.own or not (mapped[at] or at in proposed):
            continue
        known = {fold(word) for word in words.get(name, ())}
        cells = [cell for cell in cells_of(rows, at) if fold(cell) not in known]
        if said := wrong_names(name, rows[0][at], cells, changes.get("identifier", settings.identifier)):
            found.gaps.append(said)


def _leave_open(found: Proposal, name: str, at: int, values: Values) -> None:
    if values.unknown:
        found.notes.append((at, values.note))
        found.leave_open(f"value_mapping.{name}", values.unknown)


def _leavers(
    found: Proposal,
    rows: Sequence[Sequence[str]],
    fields: Sequence[str],
    settings: ImportSettings,
    form: Fit,
    past: str,
) -> None:
    """Add the parts and notes on the columns that tell who has left."""
    names = settings.names
    free = [at for at, cell in enumerate(rows[0]) if not fields[at] and is_free(fold(cell), names)]
    leavers = read_leavers(rows, free, fields, settings, form, past)
    found.parts += leavers.parts
    found.notes += leavers.notes.items()


# Dates.


def _days(rows: Sequence[Sequence[str]], fields: Sequence[str], settings: ImportSettings) -> list[str]:
    """Return different cells of the columns that hold days."""
    own = {each.key for each in settings.custom_fields if each.type == "date"}
    at = [position for position, name in enumerate(fields) if name in ("hire_date", "leave_date") or name in own]
    at = at or [position for position, kind in enumerate(tells_beside(rows[0])) if kind is Tells.LAST_DAY]
    cells = (cell for position in at for cell in cells_of(rows, position))
    return list(islice(dict.fromkeys(cell for cell in cells if cell), SAMPLE_DAYS))


def _dates(found: Proposal, form: Fit, settings: ImportSettings) -> None:
    if form.date_format == settings.date_format:
        return
    found.parts.append(Part(sentence_of(form), form.certain, settings={"date_format": form.date_format}))
