"""The files that the HR systems send, good and bad, with what the model needs to know of each. Pure."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tests.soak.company import BAD_DATE, HEADER, Person, written

HIRED = HEADER.index("hire_date")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file. `rows` are applied if it is; those of `rejected` users are not, and these users count as present.

    `fails`: it cannot be imported. `cut`: it may be incomplete. `correction`: it has only rejected rows, fixed.
    """

    content: bytes
    rows: tuple[Person, ...] = ()
    rejected: tuple[str, ...] = ()
    fails: bool = False
    cut: bool = False
    correction: bool = False

    @property
    def row_count(self) -> int:
        return len(self.rows) + len(self.rejected)


def good(people: Sequence[Person]) -> Sheet:
    return Sheet(_text(people).encode(), tuple(people))


def cut_at_a_line(people: Sequence[Person], dice: random.Random) -> Sheet:
    """Return the beginning of a file, up to the end of a row."""
    first = people[: dice.randrange(1, max(2, len(people) - 1))]
    return replace(good(first), cut=len(first) < len(people))


def cut_in_a_row(people: Sequence[Person], dice: random.Random) -> Sheet:
    """Return the beginning of a file, up to the first cells of a row."""
    first, cut = _divided(people, dice)
    return Sheet((_text(first) + f"Ann,{cut.last_name},{cut.email[:3]}").encode(), fails=True)


def cut_in_the_last_cell(people: Sequence[Person], dice: random.Random) -> Sheet:
    """Return the beginning of a file, without the line end of its last row."""
    if not _staying(people):
        return good(people)
    first, cut = _divided(people, dice)
    return Sheet(_text([*first, cut]).removesuffix("\n").encode(), tuple(first), (cut.email,), cut=True)


def without_a_column(people: Sequence[Person], dice: random.Random) -> Sheet:
    rows = [each.cells for each in people]
    at = dice.randrange(3)
    return Sheet(
        written([row[:at] + row[at + 1 :] for row in rows], HEADER[:at] + HEADER[at + 1 :]).encode(), fails=True
    )


def in_a_wrong_encoding(people: Sequence[Person], dice: random.Random) -> Sheet:
    rows = [each.cells for each in people]
    dice.choice(rows)[0] = "Zoë"
    return Sheet(written(rows).encode("cp1252", "replace"), fails=True)


def with_semicolons(people: Sequence[Person], dice: random.Random) -> Sheet:
    return Sheet(_text(people).replace(",", ";").encode(), fails=True)


def without_rows(people: Sequence[Person], dice: random.Random) -> Sheet:
    return Sheet(dice.choice((b"", b"\n", _text([]).encode())), fails=True)


def with_bad_rows(people: Sequence[Person], dice: random.Random) -> Sheet:
    """Return a file in which up to three hire dates are not dates."""
    staying = [at for at in _staying(people) if at < len(people) - 1]
    bad = dice.sample(staying, min(3, len(staying)))
    rows = [each.cells for each in people]
    for at in bad:
        rows[at][HIRED] = BAD_DATE
    going = {people[at].email for at in bad}
    good_rows = tuple(each for each in people if each.email not in going)
    return Sheet(written(rows).encode(), good_rows, tuple(going))


def with_a_row_twice(people: Sequence[Person], dice: random.Random) -> Sheet:
    """Return a file in which a row is there twice: the second is rejected."""
    if not (staying := _staying(people)):
        return good(people)
    at = dice.choice(staying)
    text = _text(people).splitlines(keepends=True)
    text.insert(at + 2, text[at + 1])
    return Sheet("".join(text).encode(), tuple(people), (people[at].email,))


def shrunk(people: Sequence[Person], dice: random.Random) -> Sheet:
    """Return a complete list without two thirds of the users; its last row is that of the real one."""
    return good([*people[: len(people) // 3], people[-1]])


def emptied(people: Sequence[Person], dice: random.Random) -> Sheet:
    """Return a list of changes that deactivates all `people`."""
    return good([replace(each, deactivate=True) for each in people])


def fixed(errors: str, people: Sequence[Person]) -> Sheet:
    """Return the errors.csv of an import with the right hire dates; `people` have them."""
    by_email = {each.email: each for each in people}
    header, *rows = csv.reader(io.StringIO(errors))
    email, hired = header.index("email"), header.index("hire_date")
    for row in rows:
        row[hired] = by_email[row[email]].hire_date.isoformat()
    return Sheet(written(rows, header).encode(), tuple(by_email[row[email]] for row in rows), correction=True)


Spoiler = Callable[[Sequence[Person], random.Random], Sheet]

SPOILERS: dict[str, Spoiler] = {
    "cut at a line": cut_at_a_line,
    "cut in a row": cut_in_a_row,
    "cut in the last cell": cut_in_the_last_cell,
    "without a column": without_a_column,
    "in a wrong encoding": in_a_wrong_encoding,
    "with semicolons": with_semicolons,
    "without rows": without_rows,
    "with bad rows": with_bad_rows,
    "with a row twice": with_a_row_twice,
}


def _staying(people: Sequence[Person]) -> list[int]:
    """Return the places of rows that are not a leaver's: a leaver is deactivated even if the row has an error."""
    return [at for at, each in enumerate(people) if each.leave_date is None and not each.deactivate]


def _divided(people: Sequence[Person], dice: random.Random) -> tuple[Sequence[Person], Person]:
    at = dice.choice(_staying(people) or [len(people) - 1])
    return people[:at], people[at]


def _text(people: Sequence[Person]) -> str:
    return written(each.cells for each in people)
