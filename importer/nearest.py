"""Which of a list of names a misspelt one is nearest to, cheaply enough to be asked for a million rows.  Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import chain

LONGEST = 80
"""No name that we know is longer; longer values have no neighbour."""


class Nearest:
    """Finds the name that shares most pairs of letters with a text (Dice's coefficient)."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names: dict[str, int] = {}
        self._with_pair: dict[str, list[str]] = defaultdict(list)
        for name in names:
            pairs = _pairs(name)
            self._names[name] = len(pairs)
            for pair in pairs:
                self._with_pair[pair].append(name)

    def to(self, text: str, *, at_least: float = 0.0) -> str | None:
        """The nearest name; None if none is as near as `at_least` (0 to 1), or shares nothing."""
        if len(text) > LONGEST:
            return None
        pairs = _pairs(text)
        shared = Counter(chain.from_iterable(self._with_pair.get(pair, ()) for pair in pairs))
        scored = ((2 * count / (len(pairs) + self._names[name]), name) for name, count in shared.items())
        score, name = max(scored, default=(0.0, ""))
        return name if name and score >= at_least else None


def _pairs(text: str) -> set[str]:
    folded = f" {text.casefold()} "
    return {folded[at : at + 2] for at in range(len(folded) - 1)}
