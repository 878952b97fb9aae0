"""The commands in docs/operating.md, as an operator runs them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tests.support import ROOT
from tests.support.steps import section

PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")


def commands(heading: str, block: int = 0) -> list[str]:
    """Return the lines of a block of commands below a heading."""
    blocks = re.findall(r"\n\n((?:    .+\n)+)", section(PAGE, heading))
    return [line.strip() for line in blocks[block].splitlines()]


def at(line: str, places: Mapping[str, Path]) -> str:
    """Return a command with other places for those of the page."""
    return re.sub("|".join(places), lambda found: str(places[found[0]]), line)
