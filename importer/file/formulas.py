"""Cells that a spreadsheet would run, made safe on their way out and plain on their way in.  Pure."""

from __future__ import annotations

import re

from importer.file.letters import BLANKS

_FORMULA = re.compile(r"'*[=+\-@]")
_QUOTED_FORMULA = re.compile(r"'+[=+\-@]")


def escape_formula(value: str) -> str:
    """`value` as a cell that no spreadsheet takes for a formula; `unescape_formula` gives the trimmed value back.

    A cell as it came in may already be escaped: `escape_formula(unescape_formula(cell))` keeps its meaning.
    """
    trimmed = value.lstrip(BLANKS)
    return f"'{trimmed}" if _FORMULA.match(trimmed) else value


def unescape_formula(cell: str) -> str:
    """What a trimmed cell means: a `'` before `=`, `+`, `-`, `@` is dropped, once, so `''=` stands for `'=`."""
    return cell[1:] if _QUOTED_FORMULA.match(cell) else cell
