"""The list of one company, as exports that are broken in one or two ways.

Each broken export comes with the codes of its messages and the beginning of the first text shown.
"""

from __future__ import annotations

from collections.abc import Callable

HEADER = "first_name,last_name,email,job_title,manager,primary_team,time_zone,language,hire_date,deactivate"
LIST = f"""{HEADER}
Marta,Keller,marta@nord.test,Director,,Management,Europe/Berlin,de,2011-03-01,no
Jonas,Weiß,jonas@nord.test,Head of Sales,marta@nord.test,Sales,Europe/Berlin,de,2014-09-15,no
Zoë,Laurent,zoe@nord.test,Account Manager,jonas@nord.test,Sales,Europe/Paris,fr,2018-01-08,no
Inês,Costa,ines@nord.test,Head of Engineering,marta@nord.test,Engineering,Europe/Lisbon,en,2013-11-04,no
Tom,O'Brien,tom@nord.test,Engineer,ines@nord.test,Engineering,Europe/London,en,2020-02-29,no
Aiko,Tanaka,aiko@nord.test,Designer,ines@nord.test,Design,Asia/Tokyo,ja,2021-06-14,no
Lena,Brandt,lena@nord.test,Recruiter,marta@nord.test,People,Europe/Berlin,de,2017-05-30,no
Carlos,Ruiz,carlos@nord.test,Support Agent,jonas@nord.test,Support,Europe/Madrid,en,2022-10-03,no
Petra,Müller,petra@nord.test,Accountant,marta@nord.test,Finance,Europe/Berlin,de,2012-12-17,no
Grace,Kim,grace@nord.test,Data Analyst,ines@nord.test,Engineering,Europe/London,en,2023-03-13,no
"""
ROWS = [line.split(",") for line in LIST.splitlines()]
NAMES = {name: at for at, name in enumerate(ROWS[0])}

GERMAN = "Vorname,Nachname,E-Mail,Position,Vorgesetzter,Abteilung,Zeitzone,Sprache,Eintrittsdatum,Austritt"
FRENCH = "Prénom,Nom,Adresse e-mail,Poste,Responsable,Service,Fuseau horaire,Langue,Date d'embauche,Sortie"

Change = Callable[[str, int], str]
Said = tuple[str, ...]


def column(name: str, change: Change, text: str = LIST) -> str:
    """Return the list with other cells in one column: `change` gets each cell and its line."""
    rows = [line.split(",") for line in text.splitlines()]
    for number, row in enumerate(rows[1:], 2):
        row[NAMES[name]] = change(row[NAMES[name]], number)
    return "".join(f"{','.join(row)}\n" for row in rows)


def on(line: int, text: str, otherwise: Change = lambda cell, _: cell) -> Change:
    """Return a change of the cell on one line to this text."""
    return lambda cell, number: text if number == line else otherwise(cell, number)


def lines(first: int, last: int) -> str:
    return "".join(LIST.splitlines(keepends=True)[first - 1 : last])


def line(number: int, change: Callable[[str], str], text: str = LIST) -> str:
    """Return the list with one line changed."""
    return "".join(change(each) if at == number else each for at, each in enumerate(text.splitlines(True), 1))


def day_first(cell: str, _: int = 0) -> str:
    return ".".join(reversed(cell.split("-")))


def semicolons(text: str) -> str:
    return text.replace(",", ";")


def with_names(cell: str, _: int) -> str:
    names = {row[2]: f"{row[0]} {row[1]}" for row in ROWS[1:]}
    return names.get(cell, cell)


def words_for_languages(cell: str, _: int) -> str:
    return {"de": "German", "fr": "French", "en": "English", "ja": "Japanese"}[cell]


def turned(cell: str, _: int) -> str:
    return {"no": "yes", "yes": "no"}[cell]


TITLES = "Nord GmbH\nExported by Lena Brandt, 2026-01-01\n\n"
NOTE = "Confidential: for internal use only,,,,,,,,,\n"
SHORT = line(6, lambda each: ",".join(each.split(",")[:7]) + "\n")
WITHOUT_TITLE = line(6, lambda each: each.replace("Engineer,ines", "ines"))
BROKEN_CELL = column("job_title", on(6, "Engi\nneer"))
SWAPPED = ",".join(["last_name", "first_name", *HEADER.split(",")[2:]]) + "\n"
SWAPPED_ROWS = "".join(
    f"{b},{a},{rest}" for a, b, rest in (each.split(",", 2) for each in lines(7, 11).splitlines(True))
)

EACH = "Every row was rejected; nothing was changed. Each row has an error in "
ABSENT = "Look at this first: Absent users were not deactivated: "
MISSING = "line 1: Columns first_name, last_name and email are missing from the header."

ONE_FAULT: list[tuple[str, str | bytes, Said, str]] = [
    ("cp1252", LIST.encode("cp1252"), ("wrong_encoding",), "Line 3 (byte offset "),
    ("letters garbled", column("last_name", on(10, "MÃ¼ller")), ("garbled_text",), "Look at this first: last_name"),
    ("letters lost", column("first_name", on(4, "Zo?")), ("garbled_text",), "Look at this first: first_name: 1"),
    ("semicolons", semicolons(LIST), ("wrong_delimiter",), "line 1: The columns are separated by semicolons"),
    ("tabs", LIST.replace(",", "\t"), ("wrong_delimiter",), "line 1: The columns are separated by tabs"),
    (
        "unknown headers with semicolons",
        semicolons(LIST.replace(HEADER, "Etunimi,Sukunimi,Posti,Nimike,Esimies,Tiimi,Alue,Kieli,Alkoi,Loppui")),
        ("wrong_delimiter",),
        "line 1: The columns are separated by semicolons",
    ),
    ("German headers", LIST.replace(HEADER, GERMAN), ("missing_column",), MISSING),
    ("French headers", LIST.replace(HEADER, FRENCH), ("missing_column",), MISSING),
    ("titles", TITLES + LIST, ("missing_column",), "The header is on line 4, not on line 1 (“Nord GmbH”)."),
    ("a total below", f"{LIST}Total: 10,,,,,,,,,\n", ("not_a_person",), "This row looks like a total"),
    (
        "a note below",
        LIST + NOTE,
        ("absent_not_deactivated", "missing_value"),
        f"{ABSENT}1 rejected row does not identify a user (line 12).",
    ),
    ("German dates", column("hire_date", day_first), ("every_row_rejected", "bad_date"), f"{EACH}hire_date."),
    (
        "days as numbers",
        column("hire_date", lambda cell, number: str(43000 + number)),
        ("every_row_rejected", "bad_date"),
        f"{EACH}hire_date.",
    ),
    (
        "status words",
        column("deactivate", lambda cell, _: "Active"),
        ("every_row_rejected", "bad_deactivate"),
        f"{EACH}deactivate.",
    ),
    (
        "a reversed flag",
        column("deactivate", turned),
        ("most_rows_are_leavers",),
        "Held, nothing was changed: it would deactivate 10 of 10 active users (more than half).",
    ),
    (
        "a person twice",
        LIST + lines(4, 4),
        ("duplicate_identifier",),
        "This row says the same as line 4.",
    ),
    (
        "an address shared by two",
        column("email", on(9, "zoe@nord.test")),
        ("duplicate_identifier",),
        "Line 4 has the same email and is used; this row was not applied.",
    ),
    (
        "managers by name",
        column("manager", with_names),
        ("malformed_link",),
        "Write the email address of the manager instead",
    ),
    (
        "offsets for time zones",
        column("time_zone", on(6, "GMT+1")),
        ("unknown_time_zone",),
        "time_zone “GMT+1”: No such time zone. An offset does not say",
    ),
    (
        "languages in words",
        column("language", words_for_languages),
        ("every_row_rejected", "unknown_language"),
        f"{EACH}language.",
    ),
    (
        "addresses with names",
        column("email", lambda cell, number: f"{ROWS[number - 1][0]} <{cell}>"),
        ("every_row_rejected", "invalid_email"),
        f"{EACH}email.",
    ),
    (
        "a quote in a cell",
        column("job_title", on(6, 'Engineer "IT"')),
        ("misplaced_quote",),
        'On line 6, a "',
    ),
    (
        "a quote left open",
        column("job_title", on(6, '"Engineer')),
        ("unterminated_quote",),
        "The quote that opens on line 6",
    ),
    (
        "each line in quotes",
        "".join(f'"{each}"\n' for each in LIST.splitlines()),
        ("lines_in_quotes",),
        "Line 1 is one cell: the whole line is in quotes",
    ),
    (
        "each row in quotes",
        lines(1, 1) + "".join(f'"{each}"\n' for each in LIST.splitlines()[1:]),
        ("every_row_rejected", "ragged_row"),
        "Every row was rejected",
    ),
    (
        "rows with another delimiter than the header",
        lines(1, 1) + semicolons(lines(2, 11)),
        ("every_row_rejected", "ragged_row"),
        "Every row was rejected",
    ),
    (
        "old line ends",
        LIST.replace("\n", "\r"),
        ("lone_carriage_return",),
        "Line 1 has the line ends of an old Macintosh",
    ),
    (
        "an old line end in a cell",
        column("job_title", on(6, "Engi\rneer")),
        ("lone_carriage_return",),
        "Line 6 has a carriage return inside a cell. Remove this line end",
    ),
    (
        "a cell on two lines without quotes",
        BROKEN_CELL,
        ("absent_not_deactivated", "ragged_row"),
        f"{ABSENT}2 rejected rows do not identify a user (lines 6, 7).",
    ),
    (
        "no line end at the end",
        LIST[:-1],
        ("unfinished_last_row",),
        "The last row has no line end. It may be cut off, so it was not applied.",
    ),
    ("cut in a row", LIST[:-30], ("last_row_cut_off",), "The file ends in the middle of line 11."),
    (
        "cut after a row",
        lines(1, 9),
        (),
        "Held, nothing was changed: the file may be incomplete. The last active user of the previous applied file",
    ),
    (
        "cells left out at the end",
        SHORT,
        ("absent_not_deactivated", "ragged_row"),
        f"{ABSENT}1 rejected row does not identify a user (line 6).",
    ),
    (
        "a cell left out in the middle",
        WITHOUT_TITLE,
        ("absent_not_deactivated", "ragged_row"),
        f"{ABSENT}1 rejected row does not identify a user (line 6).",
    ),
    (
        "errors of a spreadsheet",
        column("primary_team", lambda cell, _: "#REF!"),
        ("spreadsheet_error",),
        "primary_team: 10 cells hold “#REF!” (lines 2, 3, 4, 5, 6, …).",
    ),
    (
        "formulas",
        column("job_title", lambda cell, number: f"=TRIM(D{number})"),
        ("formula",),
        "job_title: 10 cells hold “=TRIM(D2)”",
    ),
    ("two exports", LIST + LIST, ("not_a_person", "duplicate_identifier"), "This row repeats the header."),
    (
        "two exports with columns in another order",
        lines(1, 6) + SWAPPED + SWAPPED_ROWS,
        ("second_header",),
        "Line 7 is a header with other columns than the first one: the file has two lists",
    ),
    (
        "two exports with other columns",
        lines(1, 6) + "".join(",".join(each.split(",")[:4]) + "\n" for each in [HEADER, *lines(7, 11).splitlines()]),
        ("second_header",),
        "Line 7 is a header with other columns than the first one",
    ),
    (
        "a header without rows",
        lines(1, 1),
        ("no_rows",),
        "line 1: The file has a header but no rows. Export it again.",
    ),
]

TWO_FAULTS: list[tuple[str, str | bytes, Said, str]] = [
    (
        "titles and semicolons",
        semicolons(TITLES + LIST),
        ("wrong_delimiter",),
        "The columns are separated by semicolons, but commas are expected.",
    ),
    (
        "titles and German headers",
        TITLES + LIST.replace(HEADER, GERMAN),
        ("missing_column",),
        "The header is on line 4, not on line 1 (“Nord GmbH”). Delete the lines above line 4,",
    ),
    (
        "semicolons and German headers",
        semicolons(LIST.replace(HEADER, GERMAN)),
        ("wrong_delimiter", "missing_column"),
        "line 1: The columns are separated by semicolons",
    ),
    (
        "semicolons and cp1252",
        semicolons(LIST).encode("cp1252"),
        ("wrong_delimiter", "wrong_encoding"),
        "line 1: The columns are separated by semicolons",
    ),
    (
        "cp1252 and German dates",
        column("hire_date", day_first).encode("cp1252"),
        ("wrong_encoding",),
        "Line 3 (byte offset ",
    ),
    (
        "a total and a person twice",
        f"{LIST}{lines(4, 4)}Total,11,,,,,,,,\n",
        ("not_a_person", "duplicate_identifier"),
        "This row looks like a total",
    ),
    ("a total without a line end", f"{LIST}Total: 10,,,,,,,,,", ("not_a_person",), "This row looks like a total"),
    (
        "a reversed flag and German headers",
        LIST.replace(HEADER, GERMAN.replace("Austritt", "Aktiv")),
        ("missing_column",),
        MISSING,
    ),
    (
        "a reversed flag under a header that says so",
        column("deactivate", on(5, "nein", lambda cell, _: "ja")).replace("deactivate", "Aktiv"),
        ("unread_leavers",),
        "Look at this first: Column “Aktiv” says that 1 user has left (line 5).",
    ),
    (
        "formulas and errors",
        column("job_title", on(6, "=TRIM(D6)"), column("primary_team", on(4, "#N/A"))),
        ("spreadsheet_error", "formula"),
        "primary_team: 1 cell holds “#N/A” (line 4).",
    ),
    (
        "two exports and German dates",
        column("hire_date", day_first) + LIST,
        ("every_row_rejected", "bad_date", "not_a_person", "duplicate_identifier"),
        "Every row was rejected; nothing was changed. Fix the rows as their messages say.",
    ),
    ("cut and ragged", SHORT[:-30], ("last_row_cut_off",), "The file ends in the middle of line 11."),
    (
        "German dates and status words",
        column("hire_date", day_first, column("deactivate", lambda cell, _: "Active")),
        ("every_row_rejected", "bad_date", "bad_deactivate"),
        f"{EACH}deactivate and hire_date.",
    ),
]
CASES = [*ONE_FAULT, *TWO_FAULTS]
