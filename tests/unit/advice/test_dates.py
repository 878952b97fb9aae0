"""The form of the dates is found in the cells of a file; it is a guess if they do not prove it."""

from __future__ import annotations

import pytest

from importer.advice.dates import Fit, best_fit, fitting_formats, says_otherwise, sentence_of

ISO = "%Y-%m-%d"


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        (["2024-01-05", "2023-12-31"], ISO),
        (["2021-05-22T00:00:00.000Z", "2021-05-22T10:00:00Z"], "%Y-%m-%dT%H:%M:%S.%fZ"),
        (["2024-01-05T00:00:00Z", "2024-07-05T00:00:00+01:00"], "%Y-%m-%dT%H:%M:%S%z"),
        (["2024-01-05-08:00", "2024-07-05-07:00"], "%Y-%m-%d%z"),
        (["5 janv. 2024", "1er mai 2024", "12 août 2024"], "%d %b %Y"),
        (["05. März 2024", "01. Mai 2024"], "%d. %B %Y"),
        (["13/01/2024", "05/02/2024"], "%d/%m/%Y"),
        (["01/13/2024", "05/02/2024"], "%m/%d/%Y"),
        (["13.01.24", "05.02.24"], "%d.%m.%y"),
        (["99-12-31", "01-02-03"], "%y-%m-%d"),
        (["20240105"], "%Y%m%d"),
        (["2024年1月5日"], "%Y年%m月%d日"),
    ],
)
def test_the_form_that_reads_every_cell_is_certain(cells: list[str], form: str) -> None:
    best = fitting_formats(cells, ISO)[0]
    assert (best.date_format, best.certain, best.rivals) == (form, True, ())
    assert "could as well" not in sentence_of(best)


@pytest.mark.parametrize(
    ("cells", "form", "rival"),
    [
        (["05/01/2024", "06/02/2024"], "%m/%d/%Y", "%d/%m/%Y"),
        (["05/05/2024"], "%m/%d/%Y", "%d/%m/%Y"),
        (["05.01.2024"], "%d.%m.%Y", "%m.%d.%Y"),
        (["5-1-2024"], "%d-%m-%Y", "%m-%d-%Y"),
        (["05/01/2024 00:00"], "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M"),
        (["13/01/2024", "01/13/2024"], "%m/%d/%Y", "%d/%m/%Y"),
    ],
)
def test_a_day_that_may_be_a_month_makes_the_form_a_guess(cells: list[str], form: str, rival: str) -> None:
    best = fitting_formats(cells, ISO)[0]
    assert (best.date_format, best.certain, best.rivals) == (form, False, (rival,))
    assert f"They may also be {rival}: check a date that you know." in sentence_of(best)


def test_the_form_of_the_settings_comes_first_among_equals() -> None:
    first, second = fitting_formats(["05/01/2024"], "%d/%m/%Y")
    assert (first.date_format, second.date_format) == ("%d/%m/%Y", "%m/%d/%Y")
    assert not first.certain


def test_cells_that_are_not_dates_do_not_make_a_form_certain() -> None:
    best = fitting_formats(["13/01/2024", "soon", "", "13/01/2024"], ISO)[0]
    assert (best.date_format, best.read, best.cells, best.certain) == ("%d/%m/%Y", 1, 2, False)
    assert fitting_formats(["soon", "45231"], ISO) == []


def test_the_form_of_the_settings_is_kept_unless_another_reads_most_cells() -> None:
    days = ["13/01/2024", *(f"0{day}/01/2024" for day in range(1, 10))]
    assert best_fit(days, ISO).date_format == "%d/%m/%Y"
    assert best_fit(days, "%d/%m/%Y") == Fit("%d/%m/%Y", 10, 10)
    assert best_fit([*days, "soon", "later"], ISO) == Fit(ISO, 10, 12)
    assert best_fit([], ISO) == Fit(ISO, 0, 0)


@pytest.mark.parametrize(
    ("day", "past", "otherwise"),
    [("05/01/2024", "2024-03-01", True), ("05/01/2024", "2024-06-01", False), ("13/01/2024", "2024-06-01", True)],
)
def test_a_last_day_that_is_past_in_only_one_reading_is_found(day: str, past: str, otherwise: bool) -> None:
    fit = Fit("%m/%d/%Y", 1, 1, ("%d/%m/%Y",))
    assert says_otherwise([day], fit, past) is otherwise
    assert not says_otherwise([day], Fit("%m/%d/%Y", 1, 1), past)
