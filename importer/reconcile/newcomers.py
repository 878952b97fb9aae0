"""New people, column by column: nearly all that a first import costs is done here.

The rules are those of `rules.rows` and `plan`, applied to whole columns instead of rows. Whatever is unusual about a
row (a cell that is wrong, an identifier that comes twice, a leaver) leaves it to the path that looks at one row after
the other.

Theory. Both paths come to the same users, counts and messages: rows go one way or the other by chance, such as by
where a batch or a chunk ends. It holds because the rows taken here depend on no other row of the batch:

- Their identifiers are valid, come once in the batch, and name neither a user, nor one whose creation was undone, nor
  a row before. Where the address may change (it is not the identifier), no other user has or wants theirs.
- Every cell of their chunk is valid, and at most doubtful in a way that is said once for its column; those are
  counted, and their rows settle nobody, as on the other path. So there is nothing to say of a row but about links.
- None is a leaver; the row of one whose last day is ahead settles nobody, as on the other path.
- Links are the one thing in common. All who are created in the batch have their ids before a link is looked at, and a
  link that is not found waits for the end, as on the other path.
- Teams and locations get the spelling of their first line, over the rows of both paths.

A rule that looks at two rows at once has to make such rows unusual in `part`. A model in plain dictionaries holds
both paths to the same, in tests/integration/reconcile/test_properties.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import cast

from importer.model import Problem
from importer.reconcile.leaving import LastDay, last_day
from importer.reconcile.links import Links, Waiting
from importer.reconcile.plan import LINK_FIELDS, NameIds, custom_column, team_columns
from importer.reconcile.roster import COLUMNS, NEW_USER
from importer.reconcile.rows import RowInHand, Writes, names_of
from importer.rules.cells import FieldValue
from importer.rules.doubts import Doubts, doubt
from importer.rules.emails import email_key
from importer.rules.identity import Identity
from importer.rules.rows import Doubt, RowChecker
from importer.users.columns import Value

CHUNK_ROWS = 64
"""Rows that share a fate: if one of them has a wrong cell, each is looked at on its own."""


@dataclass(slots=True)
class Newcomers:
    """New people whose rows have nothing unusual about them, and the values of their fields, a list a field."""

    rows: list[RowInHand] = field(default_factory=list)
    values: dict[str, list[FieldValue]] = field(default_factory=dict)

    def column(self, name: str) -> Sequence[FieldValue]:
        """The values of the field `name`; nothing if it is not in the file."""
        return self.values.get(name, ())

    def texts(self, name: str) -> Sequence[str | None]:
        """The values of the field `name`, whose rule lets through only texts."""
        return cast(Sequence[str | None], self.column(name))

    def first_lines(self, name: str) -> dict[FieldValue, int]:
        """The values of the field `name`, each with the first line it is on."""
        lines = [row.line for row in reversed(self.rows)]
        return dict(zip(reversed(self.column(name)), lines, strict=False))


def part(
    rows: list[RowInHand], apart: Collection[str], checker: RowChecker, counted: Doubts
) -> tuple[Newcomers, list[RowInHand]]:
    """Tell the new people without anything unusual about them from all other rows; both in the order of the file.

    Rows with an identifier in `apart` have something unusual about them. What is said of the new people once for a
    column is counted in `counted`.
    """
    newcomers = Newcomers()
    if len({row.key for row in rows}) < len(rows):
        return newcomers, rows  # duplicate or unknown identifiers: the order of rows matters
    fresh: list[RowInHand] = []
    others: list[RowInHand] = []
    for row in rows:
        known = row.known or row.unfinished or row.key is None or row.told or row.key in apart
        (others if known else fresh).append(row)
    for start in range(0, len(fresh), CHUNK_ROWS):
        chunk = fresh[start : start + CHUNK_ROWS]
        doubts: list[Doubt] = []
        values = checker.check_columns([row.cells for row in chunk], doubts)
        if values is None:
            others += chunk
            continue
        odd = _leavers(values, chunk, checker)
        for at, (name, text, why) in doubts:
            if at not in odd:
                chunk[at].doubted = True
                line = chunk[at].line
                counted.sift((doubt(line, name, text, why),), line)
        if odd:
            others += [row for at, row in enumerate(chunk) if at in odd]
            chunk = [row for at, row in enumerate(chunk) if at not in odd]
            values = {name: [x for at, x in enumerate(column) if at not in odd] for name, column in values.items()}
        newcomers.rows += chunk
        for name, column in values.items():
            newcomers.values.setdefault(name, []).extend(column)
    others.sort(key=lambda row: row.line)
    return newcomers, others


def _leavers(values: Mapping[str, Sequence[FieldValue]], rows: Sequence[RowInHand], checker: RowChecker) -> set[int]:
    """The places of leavers, and of those whose last day needs a word. Of who has it ahead the row does not last."""
    odd: set[int] = set()
    for name, left in checker.flags.items():
        odd.update(at for at, said in enumerate(values[name]) if said is left)
    if checker.has_last_day:
        hired = values.get("hire_date") or repeat(None)
        for at, (leave, hire) in enumerate(zip(values["leave_date"], hired, strict=False)):
            if leave is None:
                continue
            if last_day(leave, hire, checker.past) is LastDay.AHEAD:
                rows[at].lasting = False
            else:
                odd.add(at)
    return odd


def plan_newcomers(
    newcomers: Newcomers,
    ids: NameIds,
    links: Links,
    created: Mapping[str | None, int],
    batch: Writes,
    identity: Identity,
    own_fields: Collection[str],
) -> list[Problem]:
    """Add to `batch` what `newcomers` come to; what is to be said about them. They have their ids already."""
    rows = newcomers.rows
    if not rows:
        return []
    count = len(rows)
    columns: dict[str, Iterable[Value]] = {name: repeat(value, count) for name, value in NEW_USER.items()}
    columns.update(
        (name, newcomers.texts(name)) for name in newcomers.values if name in NEW_USER and name not in own_fields
    )
    columns["email_key"] = map(email_key, cast(Sequence[str], newcomers.column("email")))
    if not identity.by_address:
        columns[identity.column] = [row.key for row in rows]
    if "location" in newcomers.values:
        columns["location_id"] = map(ids.locations.get, cast(Sequence[str], newcomers.column("location")))
    columns["primary_team_id"], columns["secondary_team_ids"] = _teams(newcomers, ids)
    own = [name for name in newcomers.values if name in own_fields]
    if own:
        columns["custom"] = _custom(newcomers, own)
    problems = _set_links(newcomers, columns, links, created, batch)
    user_ids = (row.new_id for row in rows)
    batch.created.extend(zip(user_ids, *(columns[name] for name in COLUMNS), strict=True))
    return problems


def _set_links(
    newcomers: Newcomers,
    columns: dict[str, Iterable[Value]],
    links: Links,
    created: Mapping[str | None, int],
    batch: Writes,
) -> list[Problem]:
    """Fill the columns of manager and coach as far as those are known, and tell whom the rows settle by that."""
    rows, count = newcomers.rows, len(newcomers.rows)
    problems: list[Problem] = []
    odd: dict[int, dict[str, FieldValue]] = {}
    targets: dict[str, list[int | None]] = {}
    for name in LINK_FIELDS:
        texts = newcomers.texts(name)
        found = targets[f"{name}_id"] = [links.known.get(text) for text in texts]
        columns[f"{name}_id"] = found or repeat(None, count)
        for at, (text, target) in enumerate(zip(texts, found, strict=True)):
            if text and not target:
                odd.setdefault(at, {})[name] = text
    batch.settled.update((row.new_id, row.settles) for row in rows)
    for at, unresolved in odd.items():
        row = rows[at]
        resolved = links.of(unresolved, row.line, row.new_id, created)
        problems += resolved.problems
        for name, target in resolved.columns.items():
            targets[name][at] = target
        if resolved.waiting:
            settles = row.settles and not resolved.problems
            batch.waiting.append(Waiting(row.new_id, row.line, resolved.waiting, settles, True, True))
        if resolved.waiting or resolved.problems:
            batch.settled[row.new_id] = False
    return problems


def mentioned(newcomers: Newcomers, writes: Sequence[RowInHand], *names: str) -> dict[str, None]:
    """The teams or locations in these fields, each once, in the order of the file."""
    first: dict[FieldValue, int] = {}
    for name in names:
        lines = newcomers.first_lines(name)
        for row in writes:
            value = row.checked.values.get(name)
            lines[value] = min(row.line, lines.get(value, row.line))
        first |= lines  # one field has a name as its value, the other a tuple of names
    return names_of(sorted(first, key=first.__getitem__))


def _custom(newcomers: Newcomers, own: Sequence[str]) -> list[str]:
    rows = zip(*(newcomers.column(name) for name in own), strict=True)
    return [custom_column(dict(zip(own, row, strict=True))) for row in rows]


def _teams(newcomers: Newcomers, ids: NameIds) -> tuple[list[int | None], list[str]]:
    count = len(newcomers.rows)
    primary: Sequence[str | None] = newcomers.texts("primary_team") or [None] * count
    secondary = cast(Sequence[tuple[str, ...]], newcomers.column("secondary_team") or [()] * count)
    pairs = list(zip(primary, secondary, strict=True))
    found = {pair: team_columns(*pair, ids) for pair in set(pairs)}
    return [found[pair][0] for pair in pairs], [found[pair][1] for pair in pairs]
