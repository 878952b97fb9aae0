"""A row that changed in place: checking its changed cells alone gives the result of the whole row."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from importer.file.columns import read_header
from importer.reconcile.plan import NameIds, columns_of, differences
from importer.rules.rows import RowChecker
from importer.rules.settings import ImportSettings
from importer.users.columns import NEW_USER, Columns

COLUMNS = {
    "first_name": ["Ann", "Bo", " Ann ", ""],
    "last_name": ["Smith", "Ng"],
    "email": ["ann@example.com"],
    "job_title": ["Baker", "", "Cook", "'=1"],
    "manager": ["bo@example.com", "", "cy@example.com"],
    "primary_team": ["A", "B", ""],
    "secondary_team": ["A", "B", "A, B", "C", ""],
    "role": ["learner", "curator", "", "Emperor"],
    "language": ["en", "de", ""],
    "location": ["Bonn", "", "Rome"],
    "time_zone": ["Europe/Berlin", "", "Mars"],
    "hire_date": ["2020-01-02", ""],
    "leave_date": ["", "2019-01-01"],
    "deactivate": ["", "yes"],
    "unread": ["x", "y"],
}
IDS = NameIds({name: number for number, name in enumerate("ABC", 1)}, {"Bonn": 1, "Rome": 2})
HEADER, _ = read_header(list(COLUMNS), 1, ",", ImportSettings().names)
rows = st.tuples(*map(st.sampled_from, COLUMNS.values())).map(list)


@given(
    rows, st.dictionaries(st.sampled_from(range(len(COLUMNS))), st.integers(0, 4)), st.sampled_from(["clear", "keep"])
)
def test_checking_changed_cells_alone_gives_the_result_of_the_whole_row(
    before: list[str], changes: dict[int, int], blank_cells: str
) -> None:
    choices = list(COLUMNS.values())
    cells = [choices[at][changes[at] % len(choices[at])] if at in changes else cell for at, cell in enumerate(before)]
    checker = RowChecker(HEADER, ImportSettings.model_validate({"blank_cells": blank_cells}))
    was = checker.check(1, before, "")
    assume(was.key is not None and not was.problems and not was.left_by)
    user = {"id": 1, **NEW_USER, **columns_of(was, None, IDS, ())}
    changed = checker.check_changed(2, str(was.key), cells, before)
    whole = checker.check(2, cells, "")
    if changed is None:
        alike = all(cells[at] == before[at] for at in (2, 11, 12, 13))
        assert whole.problems or not alike
        return
    assert (changed.key, changed.problems, changed.left_by) == (whole.key, whole.problems, whole.left_by)

    def come_to(columns: Columns) -> Columns:
        return differences(user, columns)  # type: ignore[arg-type]

    assert come_to(columns_of(changed, user, IDS, ())) == come_to(columns_of(whole, user, IDS, ()))  # type: ignore[arg-type]
    links = {name: value for name, value in whole.values.items() if name == "manager"}
    assert changed.values.get("manager", was.values.get("manager")) == links.get("manager", was.values.get("manager"))
