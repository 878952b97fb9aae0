"""Propose settings that read the columns that tell who has left.  Pure.

A column is proposed if its name and its cells say what it is; a similar name is not enough. Every cell of the sample
must be read. A column with unknown words is proposed together with the words that a person must complete, or named in
a sentence. The module never guesses that a user has left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ground.words import counted
from importer.advice.dates import Fit, says_otherwise
from importer.advice.headers import cells_of, seen
from importer.advice.model import Part
from importer.advice.names import is_of_a_contract
from importer.advice.states import Meant, flag_of, state_of
from importer.file.leavers import Tells, is_of_an_account, tells_beside
from importer.file.letters import visible
from importer.model import shown
from importer.rules.cells import Invalid, check_active, check_date
from importer.rules.left import Said, Says, means_no_day, said_by
from importer.rules.meanings import columns_under
from importer.rules.nonvalues import means_no_value
from importer.rules.settings import ImportSettings

ANY_DAY = "9999-12-31"
"""A day before which every last day is past."""

WORDS = 20
"""The most different words of a list of states."""

NAMED = 5
UNKNOWN = "?"
"""The mark for a value that a person must fill in."""


@dataclass(slots=True)
class LeaversRead:
    """The parts that read columns, and a sentence for each column that is not read, by its place."""

    parts: list[Part] = field(default_factory=list)
    notes: dict[int, str] = field(default_factory=dict)


def read_leavers(
    rows: Sequence[Sequence[str]],
    free: Sequence[int],
    taken: Sequence[str],
    settings: ImportSettings,
    form: Fit,
    past: str = ANY_DAY,
) -> LeaversRead:
    """Return how to read those of the columns `free` that tell who has left; the fields `taken` have a column.

    If several fit the same field, the one with the most leavers is read. The end of a contract is read only if no
    other column is: a new contract may follow.
    """
    found, used = LeaversRead(), list(taken)
    left: list[set[int]] = []
    columns = _in_turn(rows, free, form)
    stays = _rows_that_stay(rows, columns, taken, settings, form)
    hired = _days_of("hire_date", rows, taken, form)
    for at, kind, cells in columns:
        name = seen(rows[0][at])
        proposed = _field(kind, cells, settings, form, past)
        if proposed and proposed[0] == "leave_date" and (against := _over(cells, hired, form, past) & stays.keys()):
            found.notes[at] = _against(name, len(against), seen(rows[0][stays[min(against)]]))
        elif proposed and _is_free(proposed[0], used, settings):
            target, words = proposed
            used.append(target)
            sentence = f"“{name}” tells who has left: it is read as {target}."
            headers = {rows[0][at].strip(): target}
            meant = {target: words} if words else {}
            certain = target != "leave_date" or kind is Tells.LAST_DAY
            certain = certain and not _unsure(kind, cells, form.date_format)
            left.append(_rows_left(kind, cells, form.date_format))
            found.parts.append(Part(sentence, certain, headers=headers, words=meant, column=at, leavers=True))
        elif incomplete := _incomplete(rows[0][at].strip(), at, kind, cells, form, settings, used):
            used.extend(incomplete.words)
            left.append(_rows_left(kind, cells, form.date_format))
            found.parts.append(incomplete)
        elif (said := _left(kind, cells, form.date_format)) and any(
            _rows_left(kind, cells, form.date_format) <= rows_left for rows_left in left
        ):
            found.notes[at] = f"“{name}” is not read: it shows no other leavers."
        elif said:
            found.notes[at] = (
                f"“{name}” may tell who has left ({', '.join(said)}), but is not read. Check its values, and add "
                "their meaning to field_mapping and value_mapping."
            )
    found.parts.sort(key=lambda part: part.column or 0)
    return found


def _in_turn(rows: Sequence[Sequence[str]], free: Sequence[int], form: Fit) -> list[tuple[int, Tells, list[str]]]:
    """Return the columns that tell who has left, each with its cells, in the order in which they get a field."""
    kinds = tells_beside(rows[0])
    columns = [(at, kind, cells_of(rows, at)) for at in free if (kind := kinds[at])]

    def rank(column: tuple[int, Tells, list[str]]) -> tuple[bool, int]:
        at, kind, cells = column
        says_less = is_of_a_contract(rows[0][at]) or is_of_an_account(rows[0][at])
        return says_less, -len(_rows_left(kind, cells, form.date_format))

    return sorted(columns, key=rank)


def _against(name: str, users: int, other: str) -> str:
    """Return the note on a last day that is not read because another column says that its users have not left."""
    left, stay = counted(users, "user has", "users have"), "has" if users == 1 else "have"
    return (
        f"“{name}” is not read: it says that {left} left who {stay} not left by “{other}”. It may hold dates of a "
        "previous job."
    )


def _rows_that_stay(
    rows: Sequence[Sequence[str]],
    free: Sequence[tuple[int, Tells, list[str]]],
    taken: Sequence[str],
    settings: ImportSettings,
    form: Fit,
) -> dict[int, int]:
    """Return the rows whose user has not left by a flag or status, read or not, each with that column's place."""
    found: dict[int, int] = {}
    for at, kind, cells in free:
        if is_of_an_account(rows[0][at]):
            continue
        said = _meanings(kind, cells, form.date_format)
        for row, cell in enumerate(cells):
            if cell and said[cell].says is Says.STAYS and not said[cell].day:
                found.setdefault(row, at)
    columns = columns_under(settings)
    for name, stays in (("deactivate", False), ("active", True)):
        read = list(taken).index(name) if name in taken and name not in settings.own else None
        if read is not None and not is_of_an_account(rows[0][read]):
            for row, cell in enumerate(cells_of(rows, read)):
                if cell and columns[name].judge(cell) is stays:
                    found.setdefault(row, read)
    return found


def _days_of(name: str, rows: Sequence[Sequence[str]], taken: Sequence[str], form: Fit) -> list[str]:
    """Return the days in the column of the field `name`, row by row; "" for no day."""
    if name not in taken:
        return [""] * len(rows)
    days = (check_date(cell, form.date_format) for cell in cells_of(rows, list(taken).index(name)))
    return [day if isinstance(day, str) else "" for day in days]


def _over(cells: Sequence[str], hired: Sequence[str], form: Fit, past: str) -> set[int]:
    """Return the rows whose last day is over and does not belong to an employment before the hire date."""
    days = (check_date(cell, form.date_format) if cell else None for cell in cells)
    return {
        at
        for at, (day, hire) in enumerate(zip(days, hired, strict=False))
        if isinstance(day, str) and day < past and day >= hire and not means_no_day(day)
    }


def _is_free(target: str, taken: Sequence[str], settings: ImportSettings) -> bool:
    flags = {"active", "deactivate"}
    clash = flags if target in flags else {target}
    is_ours = target in settings.targets and target not in settings.own
    return is_ours and not clash & {*taken, *settings.field_mapping.values()}


def _field(
    kind: Tells, cells: Sequence[str], settings: ImportSettings, form: Fit, past: str
) -> tuple[str, dict[str, str]] | None:
    """Return the field that can read all `cells`, and what the words mean; None if no field can."""
    filled = list(dict.fromkeys(cell for cell in cells if cell))
    if kind is Tells.LAST_DAY:
        return _last_days(filled, settings, form, past)
    if kind is Tells.LEFT and _are_days([cell for cell in filled if not _is_none(cell)], form):
        # A flag column with nothing but days holds last days.
        return _last_days(filled, settings, form, past)
    target = "active" if kind is Tells.ACTIVE else "deactivate"
    if len(filled) > WORDS or (target == "active" and not all(cells)):
        return None
    said = _meanings(kind, cells, form.date_format)
    if any(each.says not in (Says.LEFT, Says.STAYS) or each.day for each in said.values()):
        return None
    if kind is not Tells.LEFT and not any(each.says is Says.STAYS for each in said.values()):
        return None
    yes, no = ("no", "yes") if target == "active" else ("yes", "no")
    words = {cell: yes if said[cell].says is Says.LEFT else no for cell in filled}
    return target, words if any(isinstance(check_active(cell), Invalid) for cell in filled) else {}


def _last_days(
    filled: Sequence[str], settings: ImportSettings, form: Fit, past: str
) -> tuple[str, dict[str, str]] | None:
    """Return how to read a column of days; days that systems write for "no day" become blank."""
    dated = [cell for cell in filled if not _is_none(cell)]
    if not _are_days(dated, form) or says_otherwise(dated, form, past):
        return None
    days = {cell: check_date(cell, form.date_format) for cell in filled}
    none = {cell: "" for cell, day in days.items() if not isinstance(day, str) or means_no_day(day)}
    return "leave_date", {**settings.value_mapping.get("leave_date", {}), **none} if none else {}


def _is_none(cell: str) -> bool:
    """Return whether systems write this for "no day": N/A, 0000-00-00."""
    return means_no_value(cell) or ("0" in cell and not any(letter.isalnum() for letter in cell.replace("0", "")))


def _meanings(kind: Tells, cells: Sequence[str], date_format: str) -> dict[str, Said]:
    """Return what each filled cell of a column says. A word that may mean that a user has left says nothing."""
    different = frozenset(cell for cell in cells if cell)
    blanks = sum(not cell for cell in cells)
    said = {cell: said_by(kind, cell, ANY_DAY, date_format) for cell in different}
    for cell, found in said.items():
        flag = None if kind is Tells.STATUS else flag_of(cell, different, blanks)
        if flag is not None:
            said[cell] = Said(Says.LEFT if flag is (kind is Tells.LEFT) else Says.STAYS)
        elif not found.day and kind is not Tells.LAST_DAY:
            meant, note = state_of(cell, different)
            if meant is not Meant.OPEN:
                said[cell] = Said(Says.LEFT if meant is Meant.LEFT else Says.STAYS)
            elif note or found.says is Says.LEFT or kind is not Tells.STATUS:
                said[cell] = Said(Says.NOTHING)
    return said


def _unsure(kind: Tells, cells: Sequence[str], date_format: str) -> bool:
    """Return whether a word says that users have not left, but not in all systems."""
    different = frozenset(cell for cell in cells if cell)
    stay = (cell for cell, said in _meanings(kind, cells, date_format).items() if said.says is Says.STAYS)
    return kind is Tells.STATUS and any(state_of(cell, different)[0] is Meant.OPEN for cell in stay)


def _are_days(filled: Sequence[str], form: Fit) -> bool:
    return bool(filled) and not any(isinstance(check_date(cell, form.date_format), Invalid) for cell in filled)


def _incomplete(
    header: str, at: int, kind: Tells, cells: Sequence[str], form: Fit, settings: ImportSettings, used: Sequence[str]
) -> Part | None:
    """Return how to read a column with unknown words; rows with these are rejected until a person adds the words."""
    target = "active" if kind is Tells.ACTIVE else "deactivate"
    filled = list(dict.fromkeys(cell for cell in cells if cell))
    said = _meanings(kind, cells, form.date_format)
    if kind is Tells.LAST_DAY or any(each.day for each in said.values()) or len(filled) > WORDS:
        return None
    if not _is_free(target, used, settings) or not _rows_left(kind, cells, form.date_format):
        return None
    yes, no = ("no", "yes") if target == "active" else ("yes", "no")
    means = {Says.LEFT: yes, Says.STAYS: no}
    words = {cell: means[each.says] for cell, each in said.items() if each.says in means}
    unknown = [cell for cell in filled if cell not in words]
    if target == "active" and not all(cells):
        unknown.append("")
    if not unknown:
        return None  # it would say that all users have left: it may mean something else
    told = ", ".join(f"“{shown(visible(cell))}”" if cell else "a blank cell" for cell in unknown[:NAMED])
    sentence = (
        f"“{seen(header)}” tells who has left: it is read as {target}. The meaning of {told} is not known: such rows "
        "are rejected until value_mapping has it."
    )
    open_ = {f"value_mapping.{target}": dict.fromkeys(unknown, UNKNOWN)}
    certain = not _unsure(kind, cells, form.date_format)
    return Part(
        sentence, certain, headers={header: target}, words={target: words}, column=at, leavers=True, open=open_
    )


def _rows_left(kind: Tells, cells: Sequence[str], date_format: str) -> set[int]:
    """Return the rows whose cell says that the user has left, or may have."""
    words = _words_left(kind, cells, date_format)
    return {at for at, cell in enumerate(cells) if cell in words}


def _words_left(kind: Tells, cells: Sequence[str], date_format: str) -> list[str]:
    """Return the different cells that say that a user has left, or may have."""
    said = _meanings(kind, cells, date_format)
    raw = ((cell, said_by(kind, cell, ANY_DAY, date_format).says) for cell in dict.fromkeys(cells) if cell)
    return [cell for cell, says in raw if Says.LEFT in (says, said[cell].says)]


def _left(kind: Tells, cells: Sequence[str], date_format: str) -> list[str]:
    """Return the first of these cells, as a sentence shows them."""
    return [shown(visible(cell)) for cell in _words_left(kind, cells, date_format)[:NAMED]]
