"""A chart of the newest imports as SVG: active users as a line, and changes as bars below it. Pure.

Colors are classes of headcount.css, because the content security policy forbids inline styles. Widths are in percent
and heights in pixels: the chart fits any width, and its text keeps its size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from ground.words import counted

LINE_TOP, LINE_BOTTOM = 14, 104
ZERO = 186
"""The zero line of the bars: created (or reactivated) and updated users go up, deactivated users go down."""

HIGHEST = 56
"""The height of the highest bar, up or down."""
HEIGHT = ZERO + HIGHEST + 4
MARGIN = 48
"""The width of the numbers on the left. headcount.css has the same margin."""

SLOTS_LEAST = 8
"""A chart of fewer imports has empty slots, so that its bars are not too wide."""

LINEAR_UP_TO = 50
"""Above this count the bars are logarithmic: otherwise a large first import would flatten all others."""


@dataclass(frozen=True, slots=True)
class Point:
    """One applied import. `active` counts the active users after it (None: unknown); `label` names it in the hint."""

    label: str
    active: int | None
    added: int  # created or reactivated
    updated: int
    deactivated: int


def draw(points: Sequence[Point]) -> Markup:
    """Return the chart, with the oldest import on the left. A screen reader gets one image with a description."""
    parts = [*_grid(points), *_line(points), *_bars(points), *_hints(points)]
    return Markup(
        '<svg class="chart" role="img" aria-labelledby="chart-title chart-desc" width="100%" height="{}">'
        '<title id="chart-title">{}</title><desc id="chart-desc">{}</desc>{}</svg>'
    ).format(HEIGHT, "The newest imports", described(points), Markup("").join(parts))


def described(points: Sequence[Point]) -> str:
    """Return the chart in words."""
    known = [point.active for point in points if point.active is not None]
    active = f" Active users went from {known[0]:,} to {known[-1]:,}." if known else ""
    sums = (sum(getattr(point, name) for point in points) for name in ("added", "updated", "deactivated"))
    return f"{counted(len(points), 'import', 'imports')}.{active} In total: {_counts(*sums)}."


def _counts(added: int, updated: int, deactivated: int) -> str:
    return f"{added:,} created or reactivated, {updated:,} updated, {deactivated:,} deactivated"


@dataclass(frozen=True, slots=True)
class Scale:
    """The height of a count as a part of the highest; logarithmic if `most` is above LINEAR_UP_TO."""

    most: int

    def __call__(self, count: int) -> float:
        if not self.logarithmic:
            return count / max(self.most, 1)
        return math.log1p(count) / math.log1p(self.most)

    @property
    def logarithmic(self) -> bool:
        return self.most > LINEAR_UP_TO

    @property
    def marks(self) -> list[int]:
        """Return the counts that may get a grid line."""
        if not self.logarithmic:
            return [self.most] if self.most else []
        return [10**power for power in range(1, 10) if 10**power <= self.most]


def _slot(points: Sequence[Point]) -> float:
    return 100 / max(len(points), SLOTS_LEAST)


def _center(points: Sequence[Point], index: int) -> float:
    return _slot(points) * (index + 0.5)


def _line(points: Sequence[Point]) -> Iterator[Markup]:
    most = max((point.active or 0 for point in points), default=0)
    places = [
        (_center(points, index), LINE_BOTTOM - (LINE_BOTTOM - LINE_TOP) * point.active / max(most, 1))
        for index, point in enumerate(points)
        if point.active is not None
    ]
    for (x1, y1), (x2, y2) in pairwise(places):
        yield Markup('<line class="users" x1="{:.2f}%" y1="{:.1f}" x2="{:.2f}%" y2="{:.1f}"/>').format(x1, y1, x2, y2)
    for x, y in places:
        yield Markup('<circle class="users" cx="{:.2f}%" cy="{:.1f}" r="3"/>').format(x, y)


def _bars(points: Sequence[Point]) -> Iterator[Markup]:
    scale = scale_of(points)
    width = _slot(points) * 0.3
    for index, point in enumerate(points):
        left = _center(points, index) - width
        yield from _bar("added", left, width, -HIGHEST * scale(point.added))
        yield from _bar("updated", left + width, width, -HIGHEST * scale(point.updated))
        yield from _bar("deactivated", left, 2 * width, HIGHEST * scale(point.deactivated))


def _bar(kind: str, x: float, width: float, height: float) -> Iterator[Markup]:
    """Draw a bar from the zero line, up if `height` is below 0, else down. A count above 0 is at least 2 pixels."""
    if height:
        top, high = (ZERO - max(-height, 2), max(-height, 2)) if height < 0 else (ZERO, max(height, 2))
        rect = Markup('<rect class="{}" x="{:.2f}%" y="{:.1f}" width="{:.2f}%" height="{:.1f}"/>')
        yield rect.format(kind, x, top, width, high)


def scale_of(points: Sequence[Point]) -> Scale:
    """Return the scale of all bars, up and down."""
    return Scale(max((max(point.added, point.updated, point.deactivated) for point in points), default=0))


def _grid(points: Sequence[Point]) -> Iterator[Markup]:
    most = max((point.active or 0 for point in points), default=0)
    yield from _mark(LINE_TOP, f"{most:,}")
    yield from _mark(LINE_BOTTOM, "0")
    scale = scale_of(points)
    for count in scale.marks[-1:]:
        yield from _mark(ZERO - HIGHEST * scale(count), f"{count:,}")
    yield from _mark(ZERO, "")


def _mark(y: float, text: str) -> Iterable[Markup]:
    yield Markup('<line class="grid" x1="{0}" y1="{1:.1f}" x2="100%" y2="{1:.1f}"/>').format(-MARGIN, y)
    if text:
        yield Markup('<text x="{}" y="{:.1f}">{}</text>').format(-MARGIN, y - 3, text)


def _hints(points: Sequence[Point]) -> Iterator[Markup]:
    """Yield the tooltip of each import."""
    hint = Markup('<rect class="hint" x="{:.2f}%" y="0" width="{:.2f}%" height="{}"><title>{}</title></rect>')
    slot = _slot(points)
    for index, point in enumerate(points):
        active = "" if point.active is None else f"; {counted(point.active, 'active user', 'active users')}"
        text = f"{point.label}: {_counts(point.added, point.updated, point.deactivated)}{active}"
        yield hint.format(slot * index, slot, HEIGHT, text)
