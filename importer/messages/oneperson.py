"""Messages about two rows, or two users, that are or may be one person.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ground.words import counted, listed
from importer.file.header import Header
from importer.model import GuardReason, Problem, Severity, shown
from importer.rules.meanings import tidy
from importer.rules.rows import CheckedRow
from importer.rules.settings import ImportSettings

NAMES = ("first_name", "last_name")


@dataclass(frozen=True, slots=True)
class Read:
    """One row with its cells and its checked values, for a comparison."""

    cells: Sequence[str]
    checked: CheckedRow


def duplicate(row: Read, first: Read, header: Header, settings: ImportSettings) -> Problem:
    """Return why `row` is rejected: `first` has the same identifier and is used."""
    line, what = first.checked.line, settings.identifier
    differ = differing(row, first, header, settings)
    if not differ:
        message = f"This row says the same as line {line}. Remove one of the two."
    elif names := _two_names(row, first):
        message = (
            f"Line {line} has the same {what} and is used; this row was not applied. They differ in "
            f"{listed(differ)}. {names[0]} and {names[1]} may be two people who share the {what}: then give each "
            "their own. If they are one person, keep only the correct row."
        )
    else:
        message = (
            f"Line {line} has the same {what} and is used; this row was not applied. They differ in "
            f"{listed(differ)}. Keep only the correct row."
        )
    return Problem(
        Severity.ERROR, "duplicate_identifier", message, row.checked.line, what, shown(row.checked.identifier or "")
    )


def leaver_beside(row: Read, first: Read, settings: ImportSettings) -> Problem:
    """Return why the leaver `row` is ignored: `first` has the same identifier, is not a leaver and is used."""
    line, what = first.checked.line, settings.identifier
    message = (
        f"This row says that the user has left; line {line} has the same {what} and does not. "
        f"Line {line} is used, and this row was ignored. "
    )
    if names := _two_names(row, first):
        message += (
            f"{names[1]} and {names[0]} may be two people who share the {what}: then give {names[0]} another one. "
            f"If they are one person who has left, remove line {line}. If not, remove this row."
        )
    else:
        message += f"If the user has left, remove line {line}. If not, remove this row."
    return Problem(
        Severity.WARNING, "leaver_row_ignored", message, row.checked.line, what, shown(row.checked.identifier or "")
    )


def differing(row: Read, first: Read, header: Header, settings: ImportSettings) -> list[str]:
    """Return the fields in which two rows with one identifier differ, in the order of the header."""
    found = []
    for at, name in enumerate(header.columns):
        if not name or name == settings.identifier:
            continue
        ours, theirs = row.checked.values, first.checked.values
        if name == "deactivate":
            same = row.checked.deactivate == first.checked.deactivate
        elif name in ours and name in theirs:
            same = ours[name] == theirs[name]
        else:  # not valid, or not stored as a value
            same = tidy(row.cells[at]) == tidy(first.cells[at])
        if not same:
            found.append(name)
    return found


def _two_names(row: Read, first: Read) -> tuple[str, str] | None:
    """Return the names of the people of `first` and `row`, if both are known and not the same."""
    ours, theirs = _name(row), _name(first)
    return (theirs, ours) if ours and theirs and ours.casefold() != theirs.casefold() else None


def _name(row: Read) -> str:
    parts = [row.checked.values.get(name) for name in NAMES]
    return shown(" ".join(map(str, parts))) if all(parts) else ""


# Two users.


@dataclass(frozen=True, slots=True)
class Pair:
    """A user that an import creates, and a deactivated user who may be the same person.

    `shared` is the common field: `email`, `name`, or the key of a custom field; `value` is its value. `now`: this
    import deactivates the old user.
    """

    line: int | None
    new: str
    old: str
    shared: str
    value: str
    now: bool


@dataclass(slots=True)
class Renamed:
    """The number of pairs of a created and a deactivated user of one import, and counts that show the cause."""

    pairs: int = 0
    zeros: int = 0
    domains: int = 0
    first: Pair | None = None
    fields: dict[str, int] = field(default_factory=dict)

    def count(self, pair: Pair) -> None:
        """Count `pair` if this import deactivates its old user."""
        if not pair.now:
            return
        self.pairs += 1
        self.first = self.first or pair
        self.zeros += pair.shared == "email" and _without_zeros(pair)
        self.domains += pair.shared != "email" and _other_domain(pair)
        if pair.shared not in ("email", "name"):
            self.fields[pair.shared] = self.fields.get(pair.shared, 0) + 1

    def are_many(self, deactivated: int) -> bool:
        """Return whether the pairs hold the import: at least 3, and more than a fifth of those `deactivated`."""
        return self.pairs >= 3 and self.pairs * 5 > deactivated


def perhaps_the_same(pair: Pair, settings: ImportSettings, *, many: bool = False) -> Problem:
    """Return the warning that the two users of `pair` may be one person.

    With `many` pairs, another message says what to do.
    """
    share = f"both are named {pair.value}" if pair.shared == "name" else f"both have the {pair.shared} {pair.value}"
    was = "is deactivated" if pair.now else "was deactivated before"
    message = f"{shown(pair.new)} is a new user and {shown(pair.old)} {was}; {shown(share)}. They may be one person."
    if many and pair.now:
        return _same(pair, message, settings)
    message += f" If they are, write {shown(pair.old)} in the file again: this keeps one user with one history. "
    if settings.identifier == "email":
        message += (
            "If the address has changed, ask the operator for an identifier that never changes, such as an employee "
            "number. "
        )
    return _same(pair, f"{message}If they are two people, there is nothing to do.", settings)


def _same(pair: Pair, message: str, settings: ImportSettings) -> Problem:
    return Problem(
        Severity.WARNING, "perhaps_the_same_person", message, pair.line, settings.identifier, shown(pair.new)
    )


def would_rename(renamed: Renamed, settings: ImportSettings) -> str:
    """Return what the import would do to the users of these pairs, as a clause."""
    example = f" ({shown(renamed.first.old)} and {shown(renamed.first.new)}, for example)" if renamed.first else ""
    return (
        f"it would deactivate {counted(renamed.pairs, 'user', 'users')} and may create the same people again under "
        f"another {settings.identifier}{example}"
    )


def many_renamed(renamed: Renamed, settings: ImportSettings, *, applied: bool) -> Problem:
    """Return the warning about the whole file that many of its new users may already exist.

    `applied`: the import was approved, or is not held for that.
    """
    of = counted(renamed.pairs, "user in this file", "users in this file")
    example = f" ({shown(renamed.first.old)} and {shown(renamed.first.new)}, for example)" if renamed.first else ""
    message = (
        f"{of} may already exist under another {settings.identifier}{example}. "
        f"{what_keeps_them(renamed, settings, applied=applied)}"
    )
    return Problem(Severity.WARNING, GuardReason.IDENTIFIERS_CHANGED.value, message, None, settings.identifier)


def what_keeps_them(renamed: Renamed, settings: ImportSettings, *, applied: bool = False) -> str:
    """Return what keeps the users of these pairs the same, in sentences.

    If the import is `applied`, undo comes first.
    """
    if settings.identifier != "email":
        if renamed.zeros * 2 > renamed.pairs:
            return (
                f"Leading zeros of {settings.identifier} were lost or added. "
                "Format that column as text and export the file again: this keeps them the same users."
            )
        who = f"If they are the same people and only their {settings.identifier} changed"
        return f"{who}, {_set_identifier('email', applied)}: this keeps them the same users."
    why = "The domain of their addresses changed. " if renamed.domains * 2 > renamed.pairs else ""
    may_tell = [name for name in renamed.fields if _may_be_identifier(name, settings)]
    if may_tell:
        known = max(may_tell, key=renamed.fields.__getitem__)
        return (
            f"{why}If they are the same people, {_set_identifier(known, applied)}: "
            "addresses may then change, and they stay the same users."
        )
    first = "undo this import, and " if applied else ""
    return (
        f"{why}If they are the same people, {first}send the previous addresses once more, with a column such as "
        "employee_id as a custom field. Then set identifier to it: addresses may then change, and they stay the "
        "same users."
    )


def domain_changed(moved: Sequence[tuple[str, str]], settings: ImportSettings) -> list[str]:
    """Return what is seen, and what keeps these users the same, as sentences; empty without users.

    `moved` are addresses of users to deactivate, each with that of a new user that differs only in the domain.
    """
    if not moved:
        return []
    have = "1 user to deactivate has" if len(moved) == 1 else f"{len(moved):,} users to deactivate have"
    old, new = map(shown, moved[0])
    seen = f"{have} the address of a new user, except for the domain ({old} and {new}, for example)."
    return [seen, what_keeps_them(Renamed(pairs=len(moved), domains=len(moved)), settings)]


def _set_identifier(name: str, applied: bool) -> str:
    if applied:
        return f"undo this import, set identifier to {name}, and send the file again"
    return f"set identifier to {name} before this file is applied"


def _may_be_identifier(name: str, settings: ImportSettings) -> bool:
    """Return whether this custom field can be the identifier."""
    is_text = any(each.key == name and each.type == "text" for each in settings.custom_fields)
    return is_text and name not in settings.value_mapping


def _without_zeros(pair: Pair) -> bool:
    return pair.new.lstrip("0") == pair.old.lstrip("0")


def _other_domain(pair: Pair) -> bool:
    ours, theirs = pair.new.rpartition("@"), pair.old.rpartition("@")
    return ours[0].casefold() == theirs[0].casefold() and ours[2].casefold() != theirs[2].casefold()
