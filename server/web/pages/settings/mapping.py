"""The table of column names: one row for each column of a file, with the field it stands for. Pure.

The table and the setting `field_mapping` have the same content. A column that has the name of its field needs no
entry. An entry whose column is not in the table stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from importer.file.formulas import unescape_formula
from importer.file.header import REPORT_COLUMNS, Names, fold, heading
from server.web.pages.settings.notation import NotReadable

UNSET = "-"
"""The choice of no field: the column has no entry. No field has this name."""

IGNORED = ""
"""The choice to ignore a column, as in the setting."""

COLUMNS_MOST = 100
"""The most columns of a file in the table. The others keep their entries."""

Row = dict[str, str]
"""A row of the table: `header` and `field`."""


def rows_for(mapping: Mapping[str, str], header: Sequence[str], names: Names) -> list[Row]:
    """Return the table of `mapping` for a file with this `header`.

    The columns of the file come first, in their order. Then follow the entries for other columns, and a blank row.
    """
    entries = {fold(theirs): theirs for theirs in mapping}
    rows: dict[str, Row] = {}
    for cell in header[:COLUMNS_MOST]:
        name = heading(cell)
        if not name or name in REPORT_COLUMNS or name in rows:
            continue
        theirs = entries.get(name)
        field = (name if name in names.columns else UNSET) if theirs is None else mapping[theirs]
        rows[name] = {"header": unescape_formula(cell.strip()) if theirs is None else theirs, "field": field}
    for name, theirs in entries.items():
        rows.setdefault(name, {"header": theirs, "field": mapping[theirs]})
    return [*rows.values(), {"header": "", "field": UNSET}]


def mapping_of(rows: Sequence[Row], seen: Mapping[str, str]) -> dict[str, str]:
    """Return the setting for a table that was shown for the setting `seen`. Raises NotReadable.

    Entries keep their order and the spelling of their names; new ones are added at the end.
    """
    entries = {fold(_line_ends(theirs)): theirs for theirs in seen}
    chosen: dict[str, str] = {}
    found = dict(seen)
    for number, row in enumerate(rows, 1):
        name, field = fold(row["header"]), row["field"]
        if not name and field in (UNSET, IGNORED):
            continue
        if not name:
            raise NotReadable(f"row {number}: type the name of the column")
        if name in chosen:
            raise NotReadable(f"row {number}: “{row['header'].strip()}” has two rows; remove one")
        chosen[name] = field
        theirs = entries.get(name, row["header"].strip())
        if field == found.get(theirs):
            continue
        if field in (UNSET, name):
            found.pop(theirs, None)
        else:
            found[theirs] = field
    return found


def _line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
