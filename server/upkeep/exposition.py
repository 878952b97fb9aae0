"""Metrics with a value for each tenant, in the text format of Prometheus: fast with ten thousand tenants.

The library makes an object of every sample at every scrape, and blocks the event loop meanwhile. Here a line is
rendered again only if its value has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from prometheus_client.utils import floatToGoString

ESCAPED = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class ByTenant:
    """One metric. `labels` are its labels, `tenant` among them, in the order in which methods take their values."""

    def __init__(self, name: str, about: str, kind: Literal["counter", "gauge"], labels: tuple[str, ...]) -> None:
        self._name = f"{name}_total" if kind == "counter" else name
        self._head = f"# HELP {self._name} {about}\n# TYPE {self._name} {kind}\n"
        self._tenant = labels.index("tenant")
        # In the library's order.
        self._order = sorted(zip(labels, range(len(labels)), strict=True))
        self._values: dict[tuple[str, ...], float] = {}
        self._lines: dict[tuple[str, ...], str] = {}
        self._changed: dict[tuple[str, ...], None] = {}

    def set(self, value: float, *labels: str) -> None:
        known = self._values.get(labels)
        if known is None:
            pairs = ",".join(f'{name}="{labels[place].translate(ESCAPED)}"' for name, place in self._order)
            self._lines[labels] = _line(f"{self._name}{{{pairs}}}", value)
        elif known != value:
            self._changed[labels] = None  # rendered later: some values change with each packet
        self._values[labels] = value

    def add(self, amount: float, *labels: str) -> None:
        self.set(self._values.get(labels, 0) + amount, *labels)

    def remove(self, *labels: str) -> None:
        """Remove this sample, if it exists."""
        self._values.pop(labels, None)
        self._lines.pop(labels, None)
        self._changed.pop(labels, None)

    def keep_only(self, wanted: Callable[[str], bool]) -> None:
        """Remove the samples of all tenants that are not `wanted`."""
        for labels in [each for each in self._values if not wanted(each[self._tenant])]:
            self.remove(*labels)

    def render(self) -> str:
        """Return the lines HELP and TYPE, and all samples."""
        for labels in self._changed:
            name = self._lines[labels].rpartition(" ")[0]
            self._lines[labels] = _line(name, self._values[labels])
        self._changed.clear()
        return self._head + "".join(self._lines.values())


def _line(name: str, value: float) -> str:
    shown = floatToGoString(value)  # type: ignore[no-untyped-call]
    return f"{name} {shown}\n"
