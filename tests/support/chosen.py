"""The engine of a run of the tests. The environment variable ENGINE chooses it: `make test ENGINE=postgres`."""

from __future__ import annotations

import os

VARIABLE = "ENGINE"
EMBEDDED = "sqlite"
"""The engine of a run that chooses none."""


def chosen_engine() -> str:
    return os.environ.get(VARIABLE, "") or EMBEDDED


def random_cases(usual: int) -> int:
    """Return how many random cases of the rules of imports to play: another engine than the usual gets a third.

    The rules are the same for it, and each case takes three times as long.
    """
    return usual if chosen_engine() == EMBEDDED else usual // 3
