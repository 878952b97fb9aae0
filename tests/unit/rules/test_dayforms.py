"""Days in every form that a setting can name: read strictly, without a locale, and written as they are read."""

from __future__ import annotations

import pytest

from importer.rules.cells import Invalid, check_date, date_in
from importer.rules.dates import forms_of, seen_in_date
from importer.rules.left import last_day_in
from importer.rules.settings import ImportSettings

DAY = "2024-01-05"


@pytest.mark.parametrize(
    ("form", "cell", "day"),
    [
        ("%Y-%m-%dT%H:%M:%S.%fZ", "2021-05-22T00:00:00.000Z", "2021-05-22"),
        ("%Y-%m-%dT%H:%M:%S.%f%z", "2021-05-22T23:59:59.1234567+14:00", "2021-05-22"),
        ("%Y-%m-%dT%H:%M:%S.%f%z", "2021-05-22T00:00:00Z", "2021-05-22"),
        ("%Y-%m-%dT%H:%M:%S%z", "2024-01-05T00:00:00+01:00", DAY),
        ("%Y-%m-%dT%H:%M:%S%z", "2024-01-05T00:00:00+0100", DAY),
        ("%Y-%m-%dT%H:%M:%S%z", "2024-01-05T00:00:00Z", DAY),
        ("%Y-%m-%d %H:%M:%S %z", "2024-01-05 00:00:00 UTC", DAY),
        ("%Y-%m-%d%z", "2024-01-05-08:00", DAY),
        ("%Y-%m-%d%z", "2024-01-05Z", DAY),
        ("%d %b %Y", "5 janv. 2024", DAY),
        ("%d %b %Y", "5\u00a0JANV\u00a02024", DAY),
        ("%d %B %Y", "1er août 2024", "2024-08-01"),
        ("%d %b %Y", "5 févr. 2024", "2024-02-05"),
        ("%d. %B %Y", "05. März 2024", "2024-03-05"),
        ("%d. %b %Y", "5. Mrz. 2024", "2024-03-05"),
        ("%d. %B %Y", "5. Jänner 2024", DAY),
        ("%d-%b-%Y", "5-ene-2024", DAY),
        ("%d de %B de %Y", "5 de enero de 2024", DAY),
        ("%d de %B de %Y", "5 de março de 2024", "2024-03-05"),
        ("%d/%b/%Y", "05/out/2024", "2024-10-05"),
        ("%d %B %Y", "1 maggio 2024", "2024-05-01"),
        ("%d %b %Y", "1 gen 2024", "2024-01-01"),
        ("%d %b %Y", "5 mei 2024", "2024-05-05"),
        ("%d %b %Y", "5 mrt. 2024", "2024-03-05"),
        ("%d %B %Y", "5 stycznia 2024", DAY),
        ("%d %b %Y", "5 paź 2024", "2024-10-05"),
        ("%d %B %Y", "5 Października 2024", "2024-10-05"),
        ("%B %d, %Y", "March 5th, 2024", "2024-03-05"),
        ("%b %d, %Y", "Sept. 5, 2024", "2024-09-05"),
        ("%Y年%m月%d日", "2024年1月5日", DAY),
        ("%d %B %Y", "5 يناير 2024", DAY),
        ("%d %B %Y", "5 كانون الثاني 2024", DAY),
        ("%Y. %m. %d", "2024. 1. 5", DAY),
        ("%m/%d/%Y %I:%M %p", "1/5/2024 12:00 a.m.", DAY),
        ("%d.%m.%y", "05.01.69", "1969-01-05"),
        ("%d.%m.%y", "05.01.68", "2068-01-05"),
    ],
)
def test_a_day_is_read_in_the_form_that_the_settings_name(form: str, cell: str, day: str) -> None:
    ImportSettings(date_format=form)
    assert check_date(cell, form) == day


@pytest.mark.parametrize(
    ("form", "cell"),
    [
        ("%Y-%m-%d%z", "2024-01-05"),
        ("%Y-%m-%d%z", "2024-01-05 -08:00"),
        ("%Y-%m-%dT%H:%M:%S%z", "2024-01-05T00:00:00"),
        ("%Y-%m-%dT%H:%M:%S%z", "2024-01-05T24:00:00Z"),
        ("%Y-%m-%dT%H:%M:%S.%fZ", "2024-01-05T00:00:00."),
        ("%Y-%m-%dT%H:%M:%S.%fZ", "2024-02-30T00:00:00.000Z"),
        ("%d %b %Y", "5 Ulm 2024"),
        ("%d %b %Y", "31 février 2024"),
        ("%d %b %Y", "5 janv.. 2024"),
        ("%d %b %Y", "5janv2024"),
        ("%d %b %Y", "٥ يناير ٢٠٢٤"),
        ("%Y年%m月%d日", "２０２４年１月５日"),
        ("%Y%m%d", "2024105"),
        ("%d%m%Y", "512024"),
        ("%d/%m/%Y", "1er/01/2024"),
    ],
)
def test_any_other_text_is_not_a_day(form: str, cell: str) -> None:
    assert isinstance(check_date(cell, form), Invalid)


@pytest.mark.parametrize(
    "form",
    [
        *("%Y-%m-%d%z", "%Y-%m-%dT%H:%M:%S.%f%z", "%d %b %Y", "%d. %B %Y", "%B %d, %Y", "%Y年%m月%d日"),
        *("%m/%d/%Y %I:%M:%S %p", "%d.%m.%Y"),
    ],
)
def test_a_day_is_written_as_it_is_read_and_the_example_too(form: str) -> None:
    assert all(check_date(date_in(day, form), form) == day for day in ("2024-02-29", "2001-12-01", "2030-05-31"))
    message = check_date("never", form)
    assert isinstance(message, Invalid)
    assert f"such as {date_in('2024-03-09', form)}." in message.message


@pytest.mark.parametrize("form", ["%d.%m", "%d.%m.%Y %j", "%Y-%m-%d %", "%Y-%m-%d %H:%H", "%d %b %m %Y", "%-d.%m.%Y"])
def test_a_form_without_a_date_is_refused(form: str) -> None:
    with pytest.raises(ValueError, match="year, month and day once each"):
        ImportSettings(date_format=form)


@pytest.mark.parametrize(
    ("cell", "forms"),
    [
        ("2021-05-22T00:00:00.000Z", ("%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%S.%f%z")),
        ("2024-01-05-08:00", ("%Y-%m-%d%z",)),
        ("2024-01-05T00:00:00+01:00", ("%Y-%m-%dT%H:%M:%S%z",)),
        ("5 janv. 2024", ("%d %b %Y",)),
        ("1er janvier 2024", ("%d %B %Y",)),
        ("05. März 2024", ("%d. %B %Y",)),
        ("5-ene-2024", ("%d-%b-%Y",)),
        ("5 de enero de 2024", ("%d de %B de %Y",)),
        ("1 maggio 2024", ("%d %B %Y",)),
        ("2024年1月5日", ("%Y年%m月%d日",)),
        ("Jan 5th, 24", ("%b %d, %y",)),
        ("2024-Jan-05", ("%Y-%b-%d",)),
        ("05/01/2024 08:30", ("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M")),
        ("99-12-31", ("%y-%m-%d",)),
        ("Friday, 5 January 2024", ()),
        ("5 Ulm 2024", ()),
        ("31 février 2024", ()),
        ("2024-1-5", ()),
    ],
)
def test_the_forms_of_a_cell_are_found(cell: str, forms: tuple[str, ...]) -> None:
    assert forms_of(cell) == forms
    said = seen_in_date(cell)
    assert (forms[0] in said) if forms else not said


def test_a_last_day_with_a_zone_or_a_fraction_is_understood() -> None:
    assert last_day_in("2024-01-05-08:00", "%Y-%m-%d") == DAY
    assert last_day_in("2024年1月5日", "%Y-%m-%d") == DAY
