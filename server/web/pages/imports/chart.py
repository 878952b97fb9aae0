"""A chart of the newest imports as SVG: active users as a line, and changes as bars below it. Pure.

Colors are classes of headcount.css, because the content security policy forbids inline styles. Widths are in percent
and heights in pixels: the chart fits any width, and its text keeps its size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median_low

from markupsafe import Markup

from ground.words import counted

LINE_TOP, LINE_BOTTOM = 14, 104
ZERO = 186
"""The zero line of the bars: created (or reactivated) and updated users go up, deactivated users go down."""

HIGHEST = 56
"""The height of the highest bar, up or down."""
MARGIN = 48
"""The width of the numbers on the left. headcount.css has the same margin."""

BAR_MOST = 2.5
"""The most width of a bar in percent: few imports have thin bars in wide slots."""

STEPS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
"""The numbers, times a power of ten, at which a scale may end."""

OUTLIER = 20
"""A count above so many times the usual one does not stretch the scale: its bar is cut, and has its number."""


@dataclass(frozen=True, slots=True)
class Point:
    """One applied import. `active` counts the active users after it; None: unknown.

    `ended_at` is RFC 3339; "": unknown. The script of the page shows its day in the reader's zone.
    """

    name: str
    active: int | None
    added: int  # created or reactivated
    updated: int
    deactivated: int
    ended_at: str = ""

    @property
    def day(self) -> str:
        """Return the day of its end in UTC; "" if it is unknown."""
        return f"{datetime.fromisoformat(self.ended_at):%-d %b}" if self.ended_at else ""

    @property
    def changes(self) -> tuple[int, int, int]:
        return self.added, self.updated, self.deactivated


def draw(points: Sequence[Point]) -> Markup:
    """Return the chart, with the oldest import on the left. A screen reader gets one image with a description."""
    parts = [*_grid(points), *_line(points), *_bars(points), *_hints(points)]
    return Markup(
        '<svg class="chart" role="img" aria-labelledby="chart-title chart-desc" width="100%" height="{}">'
        '<title id="chart-title">{}</title><desc id="chart-desc">{}</desc>{}</svg>'
    ).format(height_of(points), "The newest imports", described(points), Markup("").join(parts))


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
    """The height of a count as a part of `top`, a round integer: at most 1."""

    top: int

    def __call__(self, count: int) -> float:
        return min(count / max(self.top, 1), 1)

    def cuts(self, count: int) -> bool:
        """Return whether the bar of `count` is cut."""
        return count > self.top

    @property
    def marks(self) -> list[int]:
        """Return the counts with a grid line: the top, and half of it if that is an integer."""
        half = [self.top // 2] if self.top % 2 == 0 else []
        return [mark for mark in (*half, self.top) if mark]


def round_up(count: int) -> int:
    """Return the lowest round integer from `count` on, at which a scale ends; 0 for 0."""
    power = 10 ** max(0, len(str(count)) - 1)
    ends = (step * power for step in STEPS)
    return next(round(end) for end in ends if end >= count and end == int(end)) if count else 0


def _slot(points: Sequence[Point]) -> float:
    return 100 / max(len(points), 1)


def _center(points: Sequence[Point], index: int) -> float:
    return _slot(points) * (index + 0.5)


def _line(points: Sequence[Point]) -> Iterator[Markup]:
    scale = _scale_of_users(points)
    places = [
        (_center(points, index), _level(scale, point.active))
        for index, point in enumerate(points)
        if point.active is not None
    ]
    for (x1, y1), (x2, y2) in pairwise(places):
        yield Markup('<line class="users" x1="{:.2f}%" y1="{:.1f}" x2="{:.2f}%" y2="{:.1f}"/>').format(x1, y1, x2, y2)
    for x, y in places:
        yield Markup('<circle class="users" cx="{:.2f}%" cy="{:.1f}" r="3"/>').format(x, y)


def _scale_of_users(points: Sequence[Point]) -> Scale:
    return Scale(round_up(max((point.active or 0 for point in points), default=0)))


def _level(scale: Scale, active: int) -> float:
    return LINE_BOTTOM - (LINE_BOTTOM - LINE_TOP) * scale(active)


def _bars(points: Sequence[Point]) -> Iterator[Markup]:
    scale = scale_of(points)
    width = min(_slot(points) * 0.3, BAR_MOST)
    for index, point in enumerate(points):
        left = _center(points, index) - width
        yield from _bar("added", left, width, -HIGHEST * scale(point.added))
        yield from _bar("updated", left + width, width, -HIGHEST * scale(point.updated))
        yield from _bar("deactivated", left, 2 * width, HIGHEST * scale(point.deactivated))
        if scale.cuts(most := max(point.added, point.updated)):
            yield from _cut(left, 2 * width, ZERO - HIGHEST, most)
        if scale.cuts(point.deactivated):
            yield from _cut(left, 2 * width, ZERO + HIGHEST, point.deactivated)


def _bar(kind: str, x: float, width: float, height: float) -> Iterator[Markup]:
    """Draw a bar from the zero line, up if `height` is below 0, else down. A count above 0 is at least 2 pixels."""
    if height:
        top, high = (ZERO - max(-height, 2), max(-height, 2)) if height < 0 else (ZERO, max(height, 2))
        rect = Markup('<rect class="{}" x="{:.2f}%" y="{:.1f}" width="{:.2f}%" height="{:.1f}"/>')
        yield rect.format(kind, x, top, width, high)


def _cut(x: float, width: float, end: float, count: int) -> Iterator[Markup]:
    """Draw a gap near the end of a bar that is cut, and its number beside it, toward the middle of the chart."""
    gap = end + 8 if end < ZERO else end - 11
    yield Markup('<rect class="gap" x="{:.2f}%" y="{:.1f}" width="{:.2f}%" height="3"/>').format(x, gap, width)
    number = Markup('<text class="{}" x="{:.2f}%" dx="{}" y="{:.1f}">{}</text>')
    before = x > 50
    yield number.format(
        "before" if before else "after", x if before else x + width, -4 if before else 4, gap + 5, f"{count:,}"
    )


def scale_of(points: Sequence[Point]) -> Scale:
    """Return the scale of all bars, up and down. Imports with far more changes than usual do not stretch it."""
    peaks = [max(point.changes) for point in points]
    changed = [peak for peak in peaks if peak]
    usual = median_low(changed) * OUTLIER if changed else 0
    return Scale(round_up(max((peak for peak in changed if peak <= usual), default=0)))


def height_of(points: Sequence[Point]) -> int:
    """Return the height of the chart: it ends below the longest bar of deactivated users."""
    return ZERO + 4 + round(HIGHEST * scale_of(points)(max((point.deactivated for point in points), default=0)))


def _grid(points: Sequence[Point]) -> Iterator[Markup]:
    users, changes = _scale_of_users(points), scale_of(points)
    for count in [0, *users.marks]:
        yield from _mark(_level(users, count), f"{count:,}")
    for count in changes.marks:
        yield from _mark(ZERO - HIGHEST * changes(count), f"{count:,}")
    yield from _mark(ZERO, "0")


def _mark(y: float, text: str) -> Iterable[Markup]:
    yield Markup('<line class="grid" x1="{0}" y1="{1:.1f}" x2="100%" y2="{1:.1f}"/>').format(-MARGIN, y)
    if text:
        yield Markup('<text x="{}" y="{:.1f}">{}</text>').format(-MARGIN, y - 3, text)


def _hints(points: Sequence[Point]) -> Iterator[Markup]:
    """Yield the tooltip of each import."""
    hint = Markup('<rect class="hint" x="{:.2f}%" y="0" width="{:.2f}%" height="{}"><title{}>{}</title></rect>')
    day = Markup(' data-at="{}" data-day="{}"')
    slot = _slot(points)
    for index, point in enumerate(points):
        active = "" if point.active is None else f"; {counted(point.active, 'active user', 'active users')}"
        label = f"{point.name}, {point.day}" if point.day else point.name
        text = f"{label}: {_counts(point.added, point.updated, point.deactivated)}{active}"
        times = day.format(point.ended_at, point.day) if point.day else ""
        yield hint.format(slot * index, slot, height_of(points), times, text)
