"""A chart of the last imports as SVG: users in all as a line, and below it who came, changed and left. Pure.

It has no style of its own (the policy of the pages forbids that): colours are classes of headcount.css. Across it is
measured in percent and down in pixels, so that it fits any width and its text stays as large as all other text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

LINE_TOP, LINE_BOTTOM = 14, 104
ZERO = 186
"""Where the bars begin: up for those who joined or changed, down for those who left."""

HIGHEST = 56
"""Of a bar, up or down."""
HEIGHT = ZERO + HIGHEST + 4
MARGIN = 48
"""The numbers stand so far out on the left, where headcount.css leaves room for them."""

SLOTS_LEAST = 8
"""A chart of fewer imports leaves room for more, rather than having bars like walls."""

LINEAR_UP_TO = 50
"""Above it, heights grow by factors of ten, or the first file of all would leave the others without height."""


@dataclass(frozen=True, slots=True)
class Point:
    """One applied import. `active` counts the users after it, None where nobody counted; `label` is for its hint."""

    label: str
    active: int | None
    joined: int
    changed: int
    left: int


def draw(points: Sequence[Point]) -> Markup:
    """The chart, oldest on the left. It is one picture to a screen reader, and says what it shows."""
    parts = [*_grid(points), *_line(points), *_bars(points), *_hints(points)]
    return Markup(
        '<svg class="chart" role="img" aria-labelledby="chart-title chart-desc" width="100%" height="{}">'
        '<title id="chart-title">{}</title><desc id="chart-desc">{}</desc>{}</svg>'
    ).format(HEIGHT, "The last imports", described(points), Markup("").join(parts))


def described(points: Sequence[Point]) -> str:
    """The chart in words."""
    counted = [point.active for point in points if point.active is not None]
    users = f" Users went from {counted[0]:,} to {counted[-1]:,}." if counted else ""
    joined, changed, left = (sum(getattr(point, name) for point in points) for name in ("joined", "changed", "left"))
    return f"{len(points)} imports.{users} In all {joined:,} joined, {changed:,} changed and {left:,} left."


@dataclass(frozen=True, slots=True)
class Scale:
    """How high `count` is, as a part of the highest; by factors of ten where counts are far apart."""

    most: int

    def __call__(self, count: int) -> float:
        if not self.by_tens:
            return count / max(self.most, 1)
        return math.log1p(count) / math.log1p(self.most)

    @property
    def by_tens(self) -> bool:
        return self.most > LINEAR_UP_TO

    @property
    def marks(self) -> list[int]:
        """The counts worth a line."""
        if not self.by_tens:
            return [self.most] if self.most else []
        return [10**power for power in range(1, 10) if 10**power <= self.most]


def _slot(points: Sequence[Point]) -> float:
    return 100 / max(len(points), SLOTS_LEAST)


def _centre(points: Sequence[Point], index: int) -> float:
    return _slot(points) * (index + 0.5)


def _line(points: Sequence[Point]) -> Iterator[Markup]:
    most = max((point.active or 0 for point in points), default=0)
    places = [
        (_centre(points, index), LINE_BOTTOM - (LINE_BOTTOM - LINE_TOP) * point.active / max(most, 1))
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
        left = _centre(points, index) - width
        yield from _bar("joined", left, width, -HIGHEST * scale(point.joined))
        yield from _bar("changed", left + width, width, -HIGHEST * scale(point.changed))
        yield from _bar("left", left, 2 * width, HIGHEST * scale(point.left))


def _bar(kind: str, x: float, width: float, height: float) -> Iterator[Markup]:
    """From the zero line up (`height` below 0) or down; whatever is not nothing can be seen."""
    if height:
        top, high = (ZERO - max(-height, 2), max(-height, 2)) if height < 0 else (ZERO, max(height, 2))
        rect = Markup('<rect class="{}" x="{:.2f}%" y="{:.1f}" width="{:.2f}%" height="{:.1f}"/>')
        yield rect.format(kind, x, top, width, high)


def scale_of(points: Sequence[Point]) -> Scale:
    """One for all bars: who left is measured like who joined."""
    return Scale(max((max(point.joined, point.changed, point.left) for point in points), default=0))


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
    """What stands beside the pointer."""
    hint = Markup('<rect class="hint" x="{:.2f}%" y="0" width="{:.2f}%" height="{}"><title>{}</title></rect>')
    slot = _slot(points)
    for index, point in enumerate(points):
        users = "" if point.active is None else f", {point.active:,} {'user' if point.active == 1 else 'users'}"
        text = f"{point.label}: {point.joined:,} joined, {point.changed:,} changed, {point.left:,} left{users}"
        yield hint.format(slot * index, slot, HEIGHT, text)
