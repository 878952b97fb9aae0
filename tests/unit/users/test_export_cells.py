"""An exported row, read again, describes the user exactly as before, with any names."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import date

from hypothesis import assume, example, given
from hypothesis import strategies as st

from importer.file.header import COLUMNS
from importer.file.reader import CsvReader
from importer.rules.rows import CheckedRow, RowChecker
from importer.rules.settings import ImportSettings
from importer.users.directory import Export

NASTY = st.text(st.sampled_from("ab ÅÅ,\"'=+-@\\\n\r\t;|\u00a0\ufeff\u200b🎉ß"), max_size=12) | st.text(max_size=12)
WORDS = st.text(st.sampled_from("abÅ1,;|\"'=+-@ß"), max_size=12)
PLAIN = ImportSettings()
ODD = ImportSettings.model_validate(
    {
        "delimiter": ";",
        "date_format": "%m/%d/%Y",
        "custom_fields": [
            {"key": "note"},
            {"key": "size", "type": "number"},
            {"key": "born", "type": "date"},
            {"key": "on_call", "type": "boolean"},
            {"key": "shift", "type": "choice", "choices": ["Early", "Late"]},
        ],
        "field_mapping": {"Mail": "email", "role": "job_title", "Rolle": "role", "note": "note", "Size": "size"},
        "value_mapping": {
            "role": {"Admin": "hr", "Chef": "admin"},
            "shift": {"early": "Late", "l": "Late", "e": "Early"},
            "on_call": {"1": "no", "y": "yes"},
            "deactivate": {"1": "no", "gone": "yes"},
        },
    }
)


def written(settings: ImportSettings, header: Sequence[str], *rows: Sequence[str]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=settings.delimiter, lineterminator="\r\n").writerows([header, *rows])
    return text.getvalue().encode("utf-8", "surrogatepass")


def read(settings: ImportSettings, content: bytes) -> CheckedRow:
    reader = CsvReader([content], **settings.form)
    assert [problem for problem in reader.problems if problem.code != "column_not_used"] == []
    (batch,) = reader.batches()
    (line,), (raw,) = batch.lines, batch.raws
    return RowChecker(reader.header, settings).check(line, reader.cells(line, raw), raw)


def as_user(row: CheckedRow) -> dict[str, object]:
    """Return the user as a directory would show one after the row was applied."""
    ours = {name: value for name, value in row.values.items() if name in COLUMNS}
    own = {name: value for name, value in row.values.items() if name not in COLUMNS and value is not None}
    return {**ours, "secondary_team": list(row.values["secondary_team"] or ()), "state": "active", "custom": own}  # type: ignore[arg-type]


def sound(cells: Sequence[str]) -> bool:
    return not any("\ud800" <= letter <= "\udfff" or letter == "\0" for cell in cells for letter in cell)


@given(
    first=NASTY, last=NASTY, title=NASTY, team=NASTY, teams=st.lists(NASTY, max_size=3), location=NASTY,
    deactivated=st.booleans(),
)  # fmt: skip
def test_an_exported_row_describes_the_user_exactly(
    first: str, last: str, title: str, team: str, teams: list[str], location: str, deactivated: bool
) -> None:
    cells = dict.fromkeys(COLUMNS, "")
    cells.update(first_name=f"a{first}", last_name=f"{last}z", email="a@example.com", job_title=title)
    cells.update(primary_team=team, secondary_team=",".join(teams), location=location)
    assume(sound(list(cells.values())))
    original = read(PLAIN, written(PLAIN, COLUMNS, list(cells.values())))
    assume(not original.problems)
    user = {**as_user(original), "state": "deactivated" if deactivated else "active"}
    export = Export(PLAIN)
    again = read(PLAIN, written(PLAIN, export.header, export.cells(user)))
    # A list of teams may consist only of a word for "none": it is kept, with a warning.
    assert {problem.code for problem in again.problems} <= {"placeholder"}
    assert (again.values, again.deactivate) == (original.values, deactivated)


@given(
    title=WORDS, note=WORDS, size=st.integers(-(10**14), 10**14) | st.floats(-1e9, 1e9), day=st.dates(),
    on_call=st.sampled_from([True, False, None]), shift=st.sampled_from(["Early", "Late", None]),
    role=st.sampled_from(["learner", "admin", "hr"]), deactivated=st.booleans(),
)  # fmt: skip
@example("", "1E+05", 0.1 + 0.2, date(1, 1, 1), None, None, "admin", False)
def test_an_export_uses_the_tenants_format_and_words(
    title: str,
    note: str,
    size: float,
    day: date,
    on_call: bool | None,
    shift: str | None,
    role: str,
    deactivated: bool,
) -> None:
    size = round(size, 3)
    own = {"note": note, "size": int(size) if size == int(size) else size, "born": day.isoformat()}
    own |= {"on_call": on_call, "shift": shift}
    user: dict[str, object] = dict.fromkeys(COLUMNS)
    user |= {"first_name": "Ann", "last_name": "Lee", "email": "ann@lee.test", "job_title": title or None}
    user |= {"secondary_team": [], "role": role, "language": "en", "hire_date": day.isoformat()}
    user |= {"leave_date": day.isoformat()}
    user |= {"state": "deactivated" if deactivated else "active", "custom": own}
    export = Export(ODD)
    again = read(ODD, written(ODD, export.header, export.cells(user)))
    assert [problem for problem in again.problems if problem.code != "mangled_number"] == []
    assert again.deactivate is deactivated
    assert {name: again.values[name] for name in own} == {
        name: value or None if value == "" else value for name, value in own.items()
    }
    assert (again.values["role"], again.values["hire_date"]) == (role, day.isoformat())
    assert again.values["leave_date"] == day.isoformat()
    assert again.values["job_title"] == (title or None)


def test_a_value_from_before_a_field_had_dates_is_exported_unchanged() -> None:
    user: dict[str, object] = dict.fromkeys(COLUMNS)
    user |= {"secondary_team": [], "state": "active", "custom": {"born": "in May", "size": "XL"}}
    cells = dict(zip(ODD.columns, Export(ODD).cells(user), strict=True))
    assert (cells["born"], cells["size"]) == ("in May", "XL")


def test_a_custom_field_named_leave_date_is_exported_instead_of_the_built_in_one() -> None:
    own = ImportSettings.model_validate({"custom_fields": [{"key": "leave_date"}, {"key": "active"}]})
    user: dict[str, object] = dict.fromkeys(COLUMNS)
    user |= {"secondary_team": [], "state": "active", "custom": {"leave_date": "in May", "active": "2"}}
    cells = dict(zip(own.columns, Export(own).cells(user), strict=True))
    assert (cells["leave_date"], cells["active"]) == ("in May", "2")
