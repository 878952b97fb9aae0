"""New people, column by column: nearly all that a first import costs is done here.

The rules are those of `rules.rows` and `plan`, applied to whole columns instead of rows. Whatever is unusual about a
row (a cell that is wrong, an identifier that comes twice, a leaver) leaves it to the path that looks at one row after
the other.

Theory. Both paths come to the same users, counts and messages: rows go one way or the other by chance, such as by
where a batch ends. It holds because the rows taken here depend on no other row of the batch:

- Their identifiers are valid, come once in the batch, and name neither a user, nor one whose creation was undone, nor
  a row before. Where the address may change (it is not the identifier), no other user has or wants theirs.
- Every cell of theirs is valid, and at most doubtful in a way that is said once for its column; those are counted,
  and their rows settle nobody, as on the other path. So there is nothing to say of a row but about links.
- None is a leaver; the row of one whose last day is ahead settles nobody, as on the other path.
- Links are the one thing in common. All who are created in the batch have their ids before a link is looked at, and a
  link that is not found waits for the end, as on the other path.
- Teams and locations get the spelling of their first line, over the rows of both paths.

A rule that looks at two rows at once has to make such rows unusual in `part`. A model in plain dictionaries holds
both paths to the same, in tests/integration/reconcile/test_properties.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import cast

from importer.model import Problem
from importer.reconcile.links import Links
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
    """New people whose rows have nothing unusual about them, and the values of their fields, a list a field.

    `unsettled`: the places of those whose row settles nobody. `ids` are those of the users whom they become.
    """

    lines: Sequence[int] = ()
    keys: Sequence[str] = ()
    values: Mapping[str, Sequence[FieldValue]] = field(default_factory=dict)
    unsettled: set[int] = field(default_factory=set)
    ids: Sequence[int] = ()

    def column(self, name: str) -> Sequence[FieldValue]:
        """The values of the field `name`; nothing if it is not in the file."""
        return self.values.get(name, ())

    def texts(self, name: str) -> Sequence[str | None]:
        """The values of the field `name`, whose rule lets through only texts."""
        return cast(Sequence[str | None], self.column(name))


def part(sheet: Sheet, apart: Collection[str], counted: Doubts) -> tuple[Newcomers, list[int]]:
    """Tell the new people without anything unusual about them from all other rows, whose places are returned.

    Rows with an identifier in `apart` have something unusual about them. What is said of the new people once for a
    column is counted in `counted`.
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
    """Add to `batch` what `newcomers` come to; what is to be said about them. They have their ids already."""
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
    """Fill the columns of manager and coach as far as those are known, and tell whom the rows settle by that."""
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
    """The teams or locations in these fields, each once, in the order of the file."""
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
