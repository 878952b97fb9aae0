"""Rows that are not users, and rows that may be."""

from __future__ import annotations

import pytest

from importer.file.columns import read_header
from importer.file.header import nearest_column
from importer.file.non_users import why_not_a_user

HEADER, _ = read_header(["first_name", "last_name", "email", "number"], 1)

FOOTERS = (
    "Total,9,,|Total,9|EOF|eof|<EOF>|END|*** END OF FILE ***|-- End of report --|FIN DE FICHIER|Ende der Liste|\x1a"
    "|Fin|Record count: 9|T;0003|T,0003|3 rows|(3 rows)|3 row(s) affected|Rows: 3|Records: 3|count=3|Count,3,,"
    "|Anzahl: 3|Anzahl Mitarbeiter,3,,|3 Datensätze|Summe,9,,|Summe|Gesamt: 9|Gesamtsumme;3|Somme: 3|Totale,3,,"
    "|Razem,3|Łącznie: 3|Итого: 3|合計,3|Total général,3|Suma,9,,|Total employees,10,,|Total,,,120|,,,Total"
    "|Nombre de lignes : 3|Total: 3 employees|Total number of records: 3|Totals|-----|Total Records,3"
)
HEADERS = (
    "first_name,last_name,email,number|First Name,Last Name,E-Mail,Number|Vorname,Nachname,E-Mail,Nr"
    "|FIRST_NAME,LAST_NAME,EMAIL,|Given name,Surname,Mail,Number"
)
PEOPLE = (
    "Ann,Lee,,|Michael,Ende,,|Ende,Michael,,|Suma,Das,,1007|Suma,,,1007|Fin,Lee,,|Bo,N|1003|T,Lee,,|T,,,1007|Per,Sum,,"
    "|Line,,,1007|Staff,User,,1007|E5,,,|Ann,,,|Total,Lee,,|Page,Larry,,3|Ann,Lee,,3|Post,Fin,,|User,,,|3,4|,,,7"
)
OTHER_COLUMNS = (
    "End Date|Location ID|Rehire Date|Manager Name|Manager ID|Deactivation Date|Active|Activate|Deactivated|deactivte"
    "|Fire Date|Birth Date|Last Date|Leave Date|Location 2|Termination Date|Role Name|Is Active|Enabled"
)


@pytest.mark.parametrize("row", FOOTERS.split("|"))
def test_a_total_an_end_mark_or_a_count_is_named_as_one(row: str) -> None:
    problem = why_not_a_user(5, row.split(","), HEADER, row)
    assert problem is not None
    assert (problem.code, "a total, a count or the end" in problem.message) == ("not_a_person", True)


@pytest.mark.parametrize("row", HEADERS.split("|"))
def test_a_repeated_header_is_named_as_one(row: str) -> None:
    below, later = (why_not_a_user(line, row.split(","), HEADER, row) for line in (2, 9))
    assert below is not None
    assert "labels the columns" in below.message
    assert later is not None
    assert "repeats the header" in later.message


@pytest.mark.parametrize("row", PEOPLE.split("|"))
def test_a_row_that_may_be_a_user_counts_as_one(row: str) -> None:
    assert why_not_a_user(5, row.split(","), HEADER, row) is None


@pytest.mark.parametrize("name", OTHER_COLUMNS.split("|"))
def test_the_name_of_another_column_is_not_similar_to_a_column(name: str) -> None:
    assert nearest_column(name) is None


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("hire dat", "hire_date"),
        ("HireDate", "hire_date"),
        ("emial", "email"),
        ("E-Mail Address", "email"),
        ("managr", "manager"),
        ("frist_name", "first_name"),
        ("lastname", "last_name"),
        ("Langauge", "language"),
        ("Roles", "role"),
        ("Coach Email", "coach"),
        ("Vorname", "first_name"),
        ("Apellidos", "last_name"),
        ("Prénom", "first_name"),
    ],
)
def test_a_misspelled_column_is_recognized(name: str, meant: str) -> None:
    assert nearest_column(name) == meant
