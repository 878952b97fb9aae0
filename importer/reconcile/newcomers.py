"""Create new users column by column: nearly all the work of a first import is done here.

The rules are those of `rules.rows` and `plan`, applied to whole columns instead of rows. An unusual row (a wrong
cell, a repeated identifier, a leaver) takes the other path, which checks row by row.

Theory. Both paths give the same users, counts and messages; chance, such as the end of a batch, decides which one a
row takes. This holds because the rows on this path depend on no other row of the batch:

- Their identifiers are valid and come once in the batch. No user, no user whose creation was undone and no earlier
  row has them. If the address is not the identifier, no other user has or wants their address.
- Each of their cells is valid, or doubtful in a way that is reported once for its column. Doubtful cells are counted,
  and their rows settle no user, as on the other path. So the only messages about single rows are about links.
- None is a leaver. A row with a last day ahead settles no user, as on the other path.
- Links are the only connection. All users created in the batch have ids before links are resolved, and a link that is
  not found waits for the end, as on the other path.
- Teams and locations get the spelling of their first line, across the rows of both paths.

A rule that compares two rows must make such rows unusual in `part`. tests/integration/reconcile/test_properties.py
checks both paths against a model in plain dictionaries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import cast

from importer.model import Problem
from importer.reconcile.ending.links import Links
from importer.reconcile.plan import LINK_FIELDS, NameIds, custom_column, team_columns
from importer.reconcile.rows import RowInHand, Writes, names_of
from importer.reconcile.sheet import Sheet
from importer.rules.cells import FieldValue
from importer.rules.doubts import Doubts, doubt
from importer.rules.emails import email_keys
from importer.rules.identity import Identity
from importer.users.columns import NEW_USER, Value
from importer.users.importing.links import Waiting


@dataclass(slots=True)
class Newcomers:
    """New users with usual rows, and the values of their fields, one list a field.

    `unsettled`: the places of rows that settle no user. `ids` are the ids of the new users.
    """

    lines: Sequence[int] = ()
    keys: Sequence[str] = ()
    values: Mapping[str, Sequence[FieldValue]] = field(default_factory=dict)
    unsettled: set[int] = field(default_factory=set)
    ids: Sequence[int] = ()

    def column(self, name: str) -> Sequence[FieldValue]:
        """Return the values of the field `name`; empty if the file does not have it."""
        return self.values.get(name, ())

    def texts(self, name: str) -> Sequence[str | None]:
        """Return the values of the field `name`, whose rule accepts only texts."""
        return cast(Sequence[str | None], self.column(name))


def part(sheet: Sheet, apart: Collection[str], counted: Doubts) -> tuple[Newcomers, list[int]]:
    """Return the usual new users, and the places of all other rows.

    Rows with an identifier in `apart` are unusual. Messages that come once for a column are counted in `counted`.
    """
    keys, checked = sheet.keys, sheet.checked
    others = set(checked.odd)
    others.update(at for at, key in enumerate(keys) if key is None)
    if apart:
        others.update(at for at, key in enumerate(keys) if key in apart)
    if len(set(keys)) < len(keys):
        times = Counter(keys)
        others.update(at for at, key in enumerate(keys) if times[key] > 1)
    unsettled = sheet.passing - others
    for at, (name, text, why) in checked.doubts:
        if at not in others:
            unsettled.add(at)
            counted.sift((doubt(sheet.lines[at], name, text, why),), sheet.lines[at])
    if not others:
        return Newcomers(sheet.lines, cast(Sequence[str], keys), checked.values, unsettled), []
    ours = [at not in others for at in range(len(keys))]
    places = list(compress(range(len(keys)), ours))
    newcomers = Newcomers(
        list(compress(sheet.lines, ours)),
        cast(list[str], list(compress(keys, ours))),
        {name: list(compress(column, ours)) for name, column in checked.values.items()} if places else {},
        {now for now, at in enumerate(places) if at in unsettled} if unsettled else set(),
    )
    return newcomers, sorted(others)


def plan_newcomers(
    newcomers: Newcomers,
    ids: NameIds,
    links: Links,
    created: Mapping[str | None, int],
    batch: Writes,
    identity: Identity,
    own_fields: Collection[str],
) -> list[Problem]:
    """Add the writes of `newcomers` to `batch`, and return the messages. The newcomers have their ids already."""
    count = len(newcomers.lines)
    if not count:
        return []
    columns: dict[str, Iterable[Value]] = {
        name: newcomers.texts(name) for name in newcomers.values if name in NEW_USER and name not in own_fields
    }
    if identity.by_address:
        columns["email_key"] = newcomers.keys
    else:
        columns["email_key"] = email_keys(newcomers.texts("email"))
        columns[identity.column] = newcomers.keys
    if "location" in newcomers.values:
        columns["location_id"] = map(ids.locations.get, cast(Sequence[str], newcomers.column("location")))
    if "primary_team" in newcomers.values or "secondary_team" in newcomers.values:
        columns["primary_team_id"], columns["secondary_team_ids"] = _teams(newcomers, ids)
    own = [name for name in newcomers.values if name in own_fields]
    if own:
        columns["custom"] = _custom(newcomers, own)
    problems = _set_links(newcomers, columns, links, created, batch)
    batch.newcomers_ids = newcomers.ids
    batch.newcomers = zip(newcomers.ids, *columns.values(), strict=True)
    batch.newcomers_columns = list(columns)
    return problems


def _set_links(
    newcomers: Newcomers,
    columns: dict[str, Iterable[Value]],
    links: Links,
    created: Mapping[str | None, int],
    batch: Writes,
) -> list[Problem]:
    """Fill the columns of known managers and coaches, and record which rows do not settle their user."""
    problems: list[Problem] = []
    odd: dict[int, dict[str, FieldValue]] = {}
    targets: dict[str, list[int | None]] = {}
    for name in LINK_FIELDS:
        if name not in newcomers.values:
            continue
        texts = newcomers.texts(name)
        found = columns[f"{name}_id"] = targets[f"{name}_id"] = list(map(links.known.get, texts))
        for at, text in enumerate(texts):
            if text and not found[at]:
                odd.setdefault(at, {})[name] = text
    unsettled = set(newcomers.unsettled)
    for at, unresolved in odd.items():
        user_id, line = newcomers.ids[at], newcomers.lines[at]
        resolved = links.of(unresolved, line, user_id, created)
        problems += resolved.problems
        for name, target in resolved.columns.items():
            targets[name][at] = target
        if resolved.waiting:
            settles = at not in unsettled and not resolved.problems
            batch.waiting.append(Waiting(user_id, line, resolved.waiting, settles, True, True))
        if resolved.waiting or resolved.problems:
            unsettled.add(at)
    batch.unsettled = {newcomers.ids[at] for at in unsettled}
    return problems


def mentioned(newcomers: Newcomers, writes: Sequence[RowInHand], *names: str) -> dict[str, None]:
    """Return the teams or locations in these fields, each once, in the order of the file."""
    first: dict[FieldValue, int] = {}
    for name in names:
        lines = dict(zip(reversed(newcomers.column(name)), reversed(newcomers.lines), strict=False))
        for row in writes:
            if name in row.checked.values:
                value = row.checked.values[name]
                lines[value] = min(row.line, lines.get(value, row.line))
        first |= lines  # one field has a name as its value, the other a tuple of names
    return names_of(sorted(first, key=first.__getitem__))


def _custom(newcomers: Newcomers, own: Sequence[str]) -> list[str]:
    rows = zip(*(newcomers.column(name) for name in own), strict=True)
    return [custom_column(dict(zip(own, row, strict=True))) for row in rows]


def _teams(newcomers: Newcomers, ids: NameIds) -> tuple[list[int | None], list[str]]:
    count, teams = len(newcomers.lines), ids.teams
    names: Sequence[str | None] = newcomers.texts("primary_team") or [None] * count
    primary = list(map(teams.get, cast(Sequence[str], names)))
    secondary = [""] * count
    for at, others in enumerate(cast(Sequence[tuple[str, ...]], newcomers.column("secondary_team"))):
        if others:
            primary[at], secondary[at] = team_columns(primary[at], [teams[name] for name in others])
    return primary, secondary
