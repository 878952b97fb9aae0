"""The meaning of cells in unread columns that show which users have left."""

from __future__ import annotations

import pytest

from importer.file.leavers import Tells
from importer.rules import left
from importer.rules.left import Says, last_day_in, said_by

PAST = "2026-06-15"


def says(tells: Tells, cell: str) -> Says:
    return said_by(tells, cell, PAST, "%Y-%m-%d").says


@pytest.mark.parametrize(
    "cell",
    [
        "2022-12-31", "31.12.2022", "12/31/2022", "31/12/2022", "31-12-22", "31-Dec-2022", "December 31, 2022",
        "31st December 2022", "31. Dezember 2022", "31 d\u00e9c. 2022", "31 de diciembre de 2022", "31 dicembre 2022",
        "31 december 2022", "31 dezembro 2022", "31 grudnia 2022", "20221231", "44926", "2022/12/31",
        "2022-12-31T00:00:00Z",
        "2022-12-31 00:00:00.000", "31.12.2022 00:00", "12/31/2022 12:00:00 AM", "2022年12月31日",
    ],
)  # fmt: skip
def test_a_day_is_read_in_every_usual_form(cell: str) -> None:
    assert last_day_in(cell, "%Y-%m-%d") == "2022-12-31"
    assert says(Tells.LAST_DAY, cell) is says(Tells.LEFT, cell) is Says.LEFT
    assert says(Tells.ACTIVE, cell) is says(Tells.STATUS, cell) is Says.NOTHING


@pytest.mark.parametrize(
    "cell",
    [
        "0000-00-00", "1900-01-01", "1970-01-01", "01/01/1970", "9999-12-31", "31.12.9999", "31.12.99", "12/31/99",
        "n/a", "-", "", "open", "12", "B-4711",
    ],
)  # fmt: skip
def test_a_day_that_stands_for_no_day_is_none(cell: str) -> None:
    assert says(Tells.LAST_DAY, cell) is Says.NOTHING


def test_the_later_of_two_possible_days_counts() -> None:
    assert last_day_in("03/09/2026", "%Y-%m-%d") == "2026-09-03"
    assert last_day_in("03/09/2026", "%m/%d/%Y") == "2026-03-09"
    assert says(Tells.LAST_DAY, "03/09/2026") is Says.AHEAD


@pytest.mark.parametrize(("cell", "found"), [("2026-06-14", Says.LEFT), ("2026-06-15", Says.AHEAD)])
def test_a_last_day_that_is_not_over_is_ahead(cell: str, found: Says) -> None:
    assert says(Tells.LAST_DAY, cell) is found


LEFT = (
    "Terminated|terminated |INACTIVE|Left|Leaver|Resigned|Retired|Terminated - voluntary|"
    "Not active|Inactive (2024)|"
    "ausgeschieden|Inaktiv|parti|Inactif|baja|Inactivo|cessato|Uit dienst|Desligado|"
    "Zwolniony|Odszed\u0142|D\u00e9sactiv\u00e9|Inactive - terminated|"
    "Terminated without notice|退職|已离职"
)
STAY = (
    "Active|On Leave|Leave|Aktiv|Beurlaubt|Actif|Activo|Attivo|Actief|Ativo|Aktywny|In dienst|Employed|Full time|"
    "Inactive - Leave of Absence|Inactive (on leave)|Inaktiv (Elternzeit)|Inactif - cong\u00e9|在職中|休职"
)
UNKNOWN = (
    "Pending|CA|Left-handed|T|1|TRUE|FALSE|Bavaria|Contractor|Resigned - serving notice|Inactive (pending start)"
)


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        (cell, found)
        for cells, found in ((LEFT, Says.LEFT), (STAY, Says.STAYS), (UNKNOWN, Says.NOTHING))
        for cell in cells.split("|")
    ],
)
def test_a_status_shows_which_users_have_left(cell: str, found: Says) -> None:
    assert says(Tells.STATUS, cell) is found


@pytest.mark.parametrize("cell", ["TRUE", "1", "yes", "ja", "Oui", "Sí", "sim", "tak", "x", "Y"])
def test_a_flag_and_its_opposite_have_opposite_meanings(cell: str) -> None:
    assert (says(Tells.LEFT, cell), says(Tells.ACTIVE, cell)) == (Says.LEFT, Says.STAYS)


@pytest.mark.parametrize("cell", ["FALSE", "0", "no", "Nein", "non", "não", "nie", "N"])
def test_a_no_in_a_flag_and_in_its_opposite_has_opposite_meanings(cell: str) -> None:
    assert (says(Tells.LEFT, cell), says(Tells.ACTIVE, cell)) == (Says.STAYS, Says.LEFT)


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        *(("退職", Says.LEFT), ("离职", Says.LEFT), ("منتهي الخدمة", Says.LEFT), ("غير نشط", Says.LEFT)),
        *(
            ("在籍中", Says.STAYS),
            ("休職中", Says.STAYS),
            ("在职", Says.STAYS),
            ("نشط", Says.STAYS),
            ("部門", Says.NOTHING),
        ),
    ],
)
def test_a_status_in_another_script_is_understood(cell: str, says: Says) -> None:
    assert said_by(Tells.STATUS, cell, "2026-01-01", "%Y-%m-%d").says is says


def test_each_word_of_a_status_is_in_one_set() -> None:
    marks = (
        *(left.SURELY_LEFT, left.LEFT_IF_NO_CLEARER, left.PERHAPS_LEFT),
        *(left.SURELY_STAYS, left.LEAVE, left.PERHAPS_STAYS),
    )
    assert sum(map(len, marks)) == len(left.LEFT_WORDS | left.STAYS_WORDS)
