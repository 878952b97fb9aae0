"""An exported row means, when it is read again, exactly what the user was: whatever names people give things."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from hypothesis import assume, given
from hypothesis import strategies as st

from importer.csvfile import CsvReader
from importer.directory import EXPORT_COLUMNS, export_cells
from importer.fields import CheckedRow, RowChecker
from importer.settings import ImportSettings

NASTY = st.text(st.sampled_from("ab ÅÅ,\"'=+-@\\\n\r\t;|\u00a0\ufeff\u200b🎉ß"), max_size=12) | st.text(max_size=12)


def written(*rows: Sequence[str]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows([EXPORT_COLUMNS, *rows])
    return text.getvalue().encode("utf-8", "surrogatepass")


def read(content: bytes) -> CheckedRow:
    reader = CsvReader([content])
    (batch,) = reader.batches()
    (line,), (raw,) = batch.lines, batch.raws
    return RowChecker(reader.header, ImportSettings()).check(line, reader.cells(line, raw), raw)


def as_user(row: CheckedRow) -> dict[str, object]:
    """What `Directory` would show after the row was applied."""
    return {**row.values, "secondary_team": list(row.values["secondary_team"] or ()), "state": "active"}  # type: ignore[arg-type]


@given(
    first=NASTY, last=NASTY, title=NASTY, team=NASTY, teams=st.lists(NASTY, max_size=3), location=NASTY,
    deactivated=st.booleans(),
)  # fmt: skip
def test_an_exported_row_means_what_the_user_was(
    first: str, last: str, title: str, team: str, teams: list[str], location: str, deactivated: bool
) -> None:
    cells = dict.fromkeys(EXPORT_COLUMNS, "")
    cells.update(first_name=f"a{first}", last_name=f"{last}z", email="a@example.com", job_title=title)
    cells.update(primary_team=team, secondary_team=",".join(teams), location=location)
    assume(not any("\ud800" <= letter <= "\udfff" or letter == "\0" for cell in cells.values() for letter in cell))
    original = read(written(list(cells.values())))
    assume(not original.problems)
    user = {**as_user(original), "state": "deactivated" if deactivated else "active"}
    again = read(written(export_cells(user)))
    assert not again.problems
    assert (again.values, again.deactivate) == (original.values, deactivated)
