"""Find the name nearest to a misspelled one, cheaply enough for a million rows. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import chain

LONGEST = 80
"""No known name is longer; a longer value has no nearest name."""


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
        """Return the nearest name; None if no name is as near as `at_least` (0 to 1), or none shares a pair."""
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


def is_misspelled(text: str, name: str) -> bool:
    """Return whether `text` is `name` with one or two typing errors.

    An error is a letter added, left out or changed, or two letters swapped. Words with `_` between are compared one
    by one, so that another word never counts as a typing error.
    """
    theirs, ours = text.split("_"), name.split("_")
    if len(theirs) == len(ours) and all(map(_is_slip, theirs, ours)):
        return True
    # Words written together, or separately.
    joined, whole = "".join(theirs), "".join(ours)
    return joined == whole or (len(theirs) != len(ours) and joined[:2] == whole[:2] and _slips(joined, whole) <= 1)


def _is_slip(text: str, word: str) -> bool:
    most = 1 if min(len(text), len(word)) < 6 else 2
    return text == word or (len(word) > 2 and _slips(text, word) <= most)


def _slips(text: str, word: str) -> int:
    """Return how many letters must be added, left out, changed or swapped to turn `text` into `word`."""
    if abs(len(text) - len(word)) > 2 or len(text) > LONGEST:
        return 3
    before: list[int] = []
    row = list(range(len(word) + 1))
    for at, letter in enumerate(text, 1):
        older, before, row = before, row, [at]
        for there, other in enumerate(word, 1):
            least = min(before[there] + 1, row[there - 1] + 1, before[there - 1] + (letter != other))
            if at > 1 and there > 1 and letter == word[there - 2] and text[at - 2] == other:
                least = min(least, older[there - 2] + 1)
            row.append(least)
    return row[-1]
