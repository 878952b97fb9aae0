"""Escape cells that a spreadsheet would run as formulas, and read escaped cells. Pure."""

from __future__ import annotations

import re

from importer.file.letters import BLANKS

_FORMULA = re.compile(r"'*[=+\-@]")
_QUOTED_FORMULA = re.compile(r"'+[=+\-@]")


def escape_formula(value: str) -> str:
    """Return `value` with a `'` before it if a spreadsheet would run it; `unescape_formula` reverses this.

    A cell of a file may be escaped already: `escape_formula(unescape_formula(cell))` keeps its meaning.
    """
    trimmed = value.lstrip(BLANKS)
    return f"'{trimmed}" if _FORMULA.match(trimmed) else value


def unescape_formula(cell: str) -> str:
    """Remove one `'` before `=`, `+`, `-` or `@` from a trimmed cell. So `''=` means `'=`."""
    return cell[1:] if _QUOTED_FORMULA.match(cell) else cell
