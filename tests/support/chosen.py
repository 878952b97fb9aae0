"""The engine of a run of the tests. The environment variable ENGINE chooses it: `make test ENGINE=postgres`."""

from __future__ import annotations

import os

VARIABLE = "ENGINE"
EMBEDDED = "sqlite"
"""The engine of a run that chooses none."""


def chosen_engine() -> str:
    return os.environ.get(VARIABLE, "") or EMBEDDED
