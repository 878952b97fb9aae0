"""The result of a measurement: the figure, the figure beside it, their ratio, and whether the promise holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

MIB = 1024 * 1024
HEADINGS = ("what", "Headcount", "beside it", "", "ratio", "target", "met")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. Less is better in all figures.

    `ours` (Headcount) and `beside` have the value of every run in `unit`; `beside` may be empty. `most` is the
    promise: a limit of the ratio of the medians, or with `absolute` of the median of `ours`. None: no promise.
    """

    what: str
    unit: str
    ours: Sequence[float]
    peer: str = ""
    beside: Sequence[float] = ()
    most: float | None = None
    absolute: bool = False

    @property
    def ratio(self) -> float | None:
        return median(self.ours) / median(self.beside) if self.beside else None

    @property
    def holds(self) -> bool | None:
        if self.most is None:
            return None
        value = median(self.ours) if self.absolute else self.ratio
        return value is not None and value <= self.most

    def cells(self) -> tuple[str, ...]:
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        promised = (
            "" if self.most is None else f"<= {self.most:.4g}" + (f" {self.unit}" if self.absolute else " times")
        )
        verdict = {None: "", True: "yes", False: "NO"}[self.holds]
        ours, beside = _shown(self.ours, self.unit), _shown(self.beside, self.unit)
        return (self.what, ours, beside, self.peer, ratio, promised, verdict)


def _shown(values: Sequence[float], unit: str) -> str:
    """Return the median, with the least and the most of the runs."""
    if not values:
        return ""
    digits = 0 if unit in ("MiB", "files") else 3 if max(values) < 1 else 2
    span = f" ({min(values):.{digits}f}-{max(values):.{digits}f})" if len(values) > 1 else ""
    return f"{median(values):.{digits}f} {unit}{span}"


def table(figures: Iterable[Figure]) -> str:
    """Return the figures as a Markdown table that is also readable in a terminal."""
    rows = [HEADINGS, *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
