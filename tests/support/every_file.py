"""Small files that together make every message of an import: see `every_message`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HEADER = "first_name,last_name,email"
ANN, BO, CY = "Ann,Lee,ann@lee.test", "Bo,Ng,bo@ng.test", "Cy,Dee,cy@dee.test"
PEOPLE = tuple(f"P{letter},Smith,p{letter}@ab.test" for letter in "abcdefghijklmnopqrst")
FIELDS = [
    {"key": "shoe_size", "type": "number"},
    {"key": "on_call", "type": "boolean"},
    {"key": "shift", "type": "choice", "choices": ["Early", "Late"]},
    {"key": "badge", "type": "text"},
]
MANY = [{"key": "floor", "type": "choice", "choices": [f"Floor {number}" for number in range(1, 23)]}]
BY_BADGE = {"custom_fields": FIELDS, "identifier": "badge"}
WHOLE = {"deactivate_missing": True, "max_deactivations_percent": 100}


def lines(*rows: str, header: str = HEADER) -> str:
    """A file of these rows."""
    return "".join(f"{row}\n" for row in (header, *rows))


@dataclass(frozen=True, slots=True)
class File:
    """A file to import, after the files `before`, with these settings. `sql` changes users.db before it is."""

    content: str | bytes
    settings: Mapping[str, Any] = field(default_factory=dict)
    before: Sequence[str] = ()
    sql: str = ""
    dry_run: bool = False


def with_column(name: str, *cells: str) -> str:
    """A file of Ann, and others, with a column of these cells, a row each."""
    people = [ANN, BO, CY, *PEOPLE]
    return lines(
        *(f"{person},{cell}" for person, cell in zip(people, cells, strict=False)), header=f"{HEADER},{name}"
    )


def cells(name: str, *found: str, **settings: Any) -> list[File]:
    """A file for each of these cells of a column."""
    return [File(with_column(name, cell, ""), {"custom_fields": FIELDS, **settings}) for cell in found]


def alone(name: str, *found: str, **settings: Any) -> list[File]:
    """The same for one of the three columns that must be there."""
    at = HEADER.split(",").index(name)
    rows = [[*ANN.split(",")[:at], cell, *ANN.split(",")[at + 1 :]] for cell in found]
    return [File(lines(",".join(row), BO), settings) for row in rows]


_BOM16 = b"\xff\xfe"
_FAILING: list[File] = [
    # Nothing in it
    *(File(content) for content in ("", "\n \n\n", lines(), lines(ANN, header="#\n#\n" + HEADER)[:4])),
    File("#\n", {"skip_first_lines": 1}),
    File("#\n#\n", {"skip_first_lines": 2}),
    # Not CSV
    File(b"\x1f\x8b\x08\x00"),
    File(b"PK\x03\x04abc"),
    File(b"\xd0\xcf\x11\xe0abc"),
    File(b"-----BEGIN PGP MESSAGE-----\n"),
    File(b"-----BEGIN PKCS7-----\n"),
    File(b"MIME-Version: 1.0\n"),
    File(b"Content-Type: application/pkcs7-mime\n"),
    File(b"-----BEGIN CERTIFICATE-----\n"),
    File(b"<!doctype html><html>Sign in</html>"),
    File(b"<!doctype html><html>Not found</html>"),
    File(b"<?xml version='1.0'?><a><b/></a>"),
    File(b'{"users": []}'),
    File(b"ORA-12154: TNS:could not resolve\n"),
    # Encodings
    File(lines("Zo\xeb,Lee,ann@lee.test").encode("cp1252")),
    File(lines("\u0410\u043d\u043d\u0430,Lee,ann@lee.test").encode("cp1251")),
    File(lines(ANN).encode() + b"\x83\x65\x83\x58\x83\x67\xfa\xfb\xfc,a,b@c.test\n"),
    File(lines(ANN).encode("utf-16-le")),
    File(b"\xff\xfe\x00\x00" + lines(ANN).encode("utf-32-le")),
    File(lines(ANN).encode() + "Zoë,".encode()[:3]),
    File(lines(ANN).encode() + b"\x81\x81,a,b@c.test\n", {"encoding": "cp1252"}),
    File(_BOM16 + lines(ANN).encode("utf-16-le") + b"\x00\xd8\x00\x00\x0a\x00"),
    # Headers
    File("first_name;last_name;email\nAnn;Lee;ann@lee.test\n"),
    File("sep=;\nfirst_name,last_name,email\nAnn,Lee,ann@lee.test\n"),
    File("sep=#\nfirst_name,last_name,email\nAnn,Lee,ann@lee.test\n"),
    File("Staff of Acme\nfirst_name;last_name;email\nAnn;Lee;ann@lee.test\n"),
    File("a;b;c\n1;2;3\n4;5;6\n"),
    File("first_name,last_name\nAnn,Lee\n"),
    File("first_name\nAnn\n"),
    File("Given,last_name,mail\nAnn,Lee,ann@lee.test\n"),
    File(
        "Vorname,Nachname,Adresse\nAnn,Lee,ann@lee.test\n", {"field_mapping": {"Mail 1": "email", "Mail 2": "email"}}
    ),
    File(f"Staff of Acme\nMarch\n{lines(ANN)}"),
    File("Staff of Acme\nfirst_name,last_name,mail\nAnn,Lee,ann@lee.test\n"),
    File(lines(ANN, BO), {"skip_first_lines": 1}),
    File(f"Title\n{lines(ANN, BO)}", {"skip_first_lines": 2}),
    File(f"{ANN}\n{BO}\n"),
    File('"first_name,last_name,email"\n"Ann,Lee,ann@lee.test"\n'),
    File("'first_name','last_name','email'\n'Ann','Lee','ann@lee.test'\n"),
    File("“first_name”;“last_name”;“email”\nAnn;Lee;ann@lee.test\n", {"delimiter": ";"}),
    File("first_name,last_name,email,Email\nAnn,Lee,ann@lee.test,a@lee.test\n"),
    File(lines(ANN, header=HEADER + ",x" * 254)),
    File(lines(ANN + "," * 254)),
    # Records
    File(lines(f"Ann,{'x' * 70000},ann@lee.test")),
    File(lines("Ann," + "x" * 1_100_000)),
    File(lines("An\0n,Lee,ann@lee.test")),
    File(lines(ANN).replace("\n", "\r")),
    File(lines("Ann,Lee\r,ann@lee.test")),
    File(lines('"Ann,Lee,ann@lee.test')),
    File(lines('Ann,Lee "Al",ann@lee.test')),
    File(lines('Ann,"Lee" Al,ann@lee.test')),
    File(lines(ANN) + "Bo,N"),
    File(lines(ANN, "last_name,first_name,email", "Ng,Bo,bo@ng.test")),
    File(lines(ANN, BO), {"skip_last_lines": 1}),
    File(lines(ANN, BO, CY), {"skip_last_lines": 2}),
    File(lines('Ann,Lee "Al",ann@lee.test', 'Bo,Ng "Al",bo@ng.test')),
    # Rows
    File(lines("Ann,Lee,ann", "Bo,Ng,bo")),
    File(lines("Ann,Lee,ann", ",Ng,bo@ng.test")),
]
_WHOLE_FILE: list[File] = [
    File(lines("Zo\xeb,Lee,zoe@lee.test"), {"encoding": "cp1252"}),
    File(lines(ANN, BO, header="First_Name,last_name,email")),
    File(lines(ANN + ",Sales", header=f"{HEADER},job_titel")),
    File(lines(ANN + ",Sales", header=f"{HEADER},department")),
    File(lines(ANN + ",Sales,Ops", header=f"{HEADER},primary_team,department")),
    File(lines(ANN + ",x,y", header=f"{HEADER},Grade,Grade")),
    File(lines(ANN + ",x,y,z", header=f"{HEADER},Grade,Grade,Grade")),
    File(lines(ANN + ",x", header=f"{HEADER},Grade")),
    *(File(lines(ANN + ",", header=f"{HEADER},{name}")) for name in ("Last Day", "Terminated", "Active", "Status")),
    *(File(lines(ANN + "," * number, header=HEADER + "," * number)) for number in (2, 11)),
    File(lines(ANN + ",", header=f"{HEADER},")),
    File(lines(ANN + ",Welding", header=f"{HEADER},skills")),
    File(
        lines("Ann,Lee,a@lee.test,b@lee.test", header="first_name,last_name,WorkMail,Mail"),
        {"field_mapping": {"WorkMail": "email", "Mail": "email"}},
    ),
    File(f"sep=,\n{lines(ANN)}"),
    File(lines(ANN) + "\x1a"),
    *(File(lines(ANN) + ",,\n" * number) for number in (1, 2, 7)),
]
_CELLS: list[File] = [
    *alone("first_name", "", "#N/A", "=TRIM(A2)", "x" * 300, "N/A", "An&amp;n", "Zo\ufffd"),
    *alone(
        "email", "", "Ann Lee <ann@lee.test>", "a@b.test; c@d.test", "<ann>", "ann", f"{'a' * 250}@b.test", "#REF!"
    ),
    *alone("email", "ann\x07@lee.test", "<none>"),
    File(lines("Total overview,,")),
    File(lines(ANN, "Note for Bo,,", BO)),
    *cells("job_title", "#REF!", "=TRIM(A2)", "Cook\x07", "Caf\u00c3\u0083\u00c2\u0081", "x" * 300, "N/A", "R&amp;D"),
    File(with_column("job_title", "#REF!", "#REF!", "#N/A")),
    File(with_column("job_title", *["#REF!"] * 7)),
    File(with_column("job_title", "=TRIM(A2)", "=TRIM(A3)")),
    File(with_column("job_title", "N/A", "-", "NULL", "None", "n/a", "--", "nan")),
    File(with_column("job_title", "R&amp;D", "B&amp;O")),
    File(with_column("job_title", "Caf\u00c3\u00a9", "Caf\u00c3\u00a9")),
    File(lines("Zo\u00c3\u00ab,Lee,zoe@lee.test", "N/A,Ng,bo@ng.test", "NULL,Dee,cy@dee.test")),
    File(with_column("job_title", "x", "=TRIM(A3)").replace("Bo,Ng,", "Bo,,")),
    *cells("secondary_team", f'"a,{"x" * 300}"'),
    *cells("role", "boss", "N/A"),
    *cells("role", "chief", value_mapping={"role": {"Big boss": "admin", "Nothing": ""}}),
    *cells("language", "English", "Portuguese", "Klingon"),
    *cells("time_zone", "GMT+2", "UTC-5", "Londn", "Cordoba", "Nowhere land", "GMT+5:30"),
    *cells("hire_date", "01/02/2024", "13/02/2024", "2024-02-30", "45231", "5 March 2024", "soon", "20240201"),
    *cells("hire_date", "2024-02-01 10:30", "2024-02-01Z", "99.99.9999"),
    *cells("hire_date", "2024-02-01", "31.02.2024", date_format="%d.%m.%Y"),
    *cells("shoe_size", "38½", "1234567890123456", "1e20", "1.23E+05"),
    *cells("on_call", "maybe", "N/A"),
    *cells("shift", "Noon"),
    *cells("floor", "Floor 99", custom_fields=MANY),
    *cells("badge", "1.23E+05"),
    File(lines("Ann,,ann@lee.test,1.23E+05", header=f"{HEADER},badge"), {"custom_fields": FIELDS}),
    *cells("deactivate", "oui", "31.01.2020"),
    *cells("deactivate", "oui", value_mapping={"deactivate": {"J": "yes", "N": "no"}}),
    *cells("Active", "maybe", "", field_mapping={"Active": "active"}),
    # Rows
    File(lines(ANN, "Bo,Ng", header=f"{HEADER},job_title,role")),
    File(lines(ANN + ",Cook,hr", "Bo,Ng,bo@ng.test", header=f"{HEADER},job_title,role")),
    File(lines(ANN + ",Cook", "Bo,Ng,bo@ng.test", header=f"{HEADER},job_title")),
    File(lines(ANN, BO + ",")),
    File(lines(ANN, BO + ",,")),
    File(lines(ANN, BO + ",x")),
    File(lines(ANN, "Bo;Ng;bo@ng.test")),
    File(lines(ANN, '"Bo,Ng,bo@ng.test"')),
    File(lines(ANN, "Bo")),
    File(lines(ANN, "Total,9,")),
    File(lines(ANN, HEADER)),
    File(lines("Vorname,Nachname,E-Mail", ANN)),
    File(lines(ANN, "Ann,Lee,ANN@lee.test")),
    File(lines(ANN, "Anna,Lee,ANN@lee.test")),
    File(lines(ANN + ",Cook", "Ann,Lee,ANN@lee.test,Boss", header=f"{HEADER},job_title")),
    File(lines(ANN) + BO),
]


def _badge(*rows: str, header: str = f"{HEADER},badge") -> str:
    return lines(*rows, header=header)


_FLAG, _DAYS = f"{HEADER},deactivate", f"{HEADER},hire_date,leave_date"
_LEAVERS = [f"{person},yes" for person in PEOPLE]
_USERS: list[File] = [
    # Addresses, where a custom field is the identifier
    File(_badge(f"{ANN},1", "Bo,Ng,ann@lee.test,2"), BY_BADGE, [_badge(f"{ANN},1", f"{BO},2")]),
    File(_badge("Bo,Ng,ann@lee.test,2"), BY_BADGE, [_badge(f"{ANN},1", f"{BO},2")]),
    File(_badge("Bo,Ng,ann@lee.test,2"), BY_BADGE, [_badge(f"{ANN},1")]),
    File(
        _badge("Bo,Ng,ann@lee.test,2,yes", header=f"{HEADER},badge,deactivate"),
        BY_BADGE,
        [_badge(f"{ANN},1", f"{BO},2")],
    ),
    File(
        _badge("Bo,Ng,ann@lee.test,2,", header=f"{HEADER},badge,deactivate"),
        BY_BADGE,
        [_badge(f"{ANN},1", f"{BO},2"), _badge(f"{ANN},1,yes", header=f"{HEADER},badge,deactivate")],
    ),
    # Links
    *(
        File(lines(f"{ANN},{text}", BO, header=f"{HEADER},manager").replace(BO, f"{BO},"))
        for text in ("boo@ng.test", "Bo Ng", "Bo Ng (bo@ng.test)", "bo@ng.test; cy@dee.test", "N/A", "ann@lee.test")
    ),
    File(
        lines(f"{ANN},cy@dee.test", header=f"{HEADER},manager"),
        before=[lines(ANN, CY), lines(f"{CY},yes", header=_FLAG)],
    ),
    File(
        lines(f"{CY},yes", header=_FLAG),
        before=[lines(f"{ANN},cy@dee.test", f"{CY},", header=f"{HEADER},manager")],
    ),
    File(lines(f"{ANN},bo@ng.test", f"{BO},ann@lee.test", header=f"{HEADER},manager")),
    # Leavers
    File(lines(f"{ANN},yes", BO + ",", header=_FLAG)),
    File(lines(CY), {"reactivate_returning": False}, [lines(ANN, CY), lines(f"{CY},yes", header=_FLAG)]),
    File(lines(f"{ANN},no,2020-01-31", header=f"{_FLAG},leave_date")),
    File(lines(f"{ANN},yes,2099-01-31", header=f"{_FLAG},leave_date"), before=[lines(ANN)]),
    File(lines(f"{ANN},2024-05-01,2020-01-31", header=_DAYS)),
    File(lines(f"{ANN},yes", header=_FLAG), WHOLE, [lines(ANN, BO)], "UPDATE users SET protected = 1"),
    File(lines(BO), WHOLE, [lines(ANN, BO)], "UPDATE users SET protected = 1"),
    File(lines(f"{ANN},yes", f"{ANN},no", header=_FLAG)),
    File(lines(f"{ANN},yes", "Anna,Lim,ann@lee.test,no", header=_FLAG)),
    File(lines(f"{ANN},boss,yes", header=f"{HEADER},role,deactivate"), before=[lines(ANN, BO)]),
    File(lines(f"{ANN},", "Bo,Ng,,yes", header=_FLAG)),
    File(lines(f"{ANN},", "Bo,Ng,,yes", header=_FLAG), WHOLE),
    File(lines(*_LEAVERS[:5], f"{ANN},", header=_FLAG)),
    File(lines(*_LEAVERS[:2], f"{ANN},", header=_FLAG)),
    File(lines(*_LEAVERS[:5], f"{ANN},", header=_FLAG), WHOLE, [lines(*PEOPLE[:5], ANN)]),
    *(
        File(
            lines(*(f"{person},{word}" for person in PEOPLE[:5]), f"{ANN},{other}", header=f"{HEADER},Flag"),
            {**WHOLE, "field_mapping": {"Flag": meant}},
            [lines(*PEOPLE[:5], ANN)],
        )
        for word, other, meant in (("no", "yes", "active"),)
    ),
    File(lines(f"{ANN},yes", header=f"{HEADER},Active"), {"field_mapping": {"Active": "deactivate"}}),
    File(lines(f"{ANN},yes", header=f"{HEADER},Terminated"), {"field_mapping": {"Terminated": "active"}}),
    *(
        File(
            lines(f"{ANN},learner", f"{BO},learner", header=f"{HEADER},role"),
            before=[lines(f"{ANN},admin", f"{BO},{role}", header=f"{HEADER},role")],
        )
        for role in ("learner", "admin")
    ),
    # Columns that no setting reads
    *(
        File(lines(f"{ANN},{one}", f"{BO},{two}", header=f"{HEADER},{name}"))
        for name, one, two in (
            ("End Date", "2020-01-31", ""),
            ("End Date", "2020-01-31", "2021-01-31"),
            ("End Date", "31.01.2020", ""),
            ("Active", "no", "yes"),
            ("Status", "Terminated", "Active"),
            ("Status", "Terminated", "Left"),
            ("Terminated", "yes", ""),
        )
    ),
    File(lines(f"{ANN},2020-01-31,Active", header=f"{HEADER},End Date,Status")),
    # One person under two identifiers
    File(lines("Ann,Lee,ann@lee-group.test", BO), WHOLE, [lines(ANN, BO)]),
    File(_badge("Ann,Lee,ann@lee.test,9"), {**BY_BADGE, **WHOLE}, [_badge(f"{ANN},1", f"{BO},2")]),
    File(lines(*(person.replace("ab.test", "cd.test") for person in PEOPLE)), WHOLE, [lines(*PEOPLE)]),
    File(
        lines(*(person.replace("ab.test", "cd.test") for person in PEOPLE)),
        {"deactivate_missing": True},
        [lines(*PEOPLE)],
    ),
    File(
        _badge(*(f"{person.replace('ab.test', 'cd.test')},{at}" for at, person in enumerate(PEOPLE))),
        {"deactivate_missing": True, "custom_fields": FIELDS},
        [_badge(*(f"{person},{at}" for at, person in enumerate(PEOPLE)))],
    ),
    *(
        File(
            _badge(*(f"{person},{at}" for at, person in enumerate(PEOPLE))),
            {**BY_BADGE, **more, "deactivate_missing": True},
            [_badge(*(f"{person},00{at}" for at, person in enumerate(PEOPLE)))],
        )
        for more in ({}, WHOLE)
    ),
    File(
        _badge(*(f"{person},x{at}" for at, person in enumerate(PEOPLE))),
        {**BY_BADGE, "deactivate_missing": True},
        [_badge(*(f"{person},{at}" for at, person in enumerate(PEOPLE)))],
    ),
    # Absent users
    *(
        File(lines(ANN, *rows), WHOLE, [lines(ANN, BO, CY)])
        for rows in (["Bo,Ng,"], ["Bo,Ng,", "Cy,Dee,"], [f"P{number},Smith," for number in range(8)])
    ),
    *(File(lines(*PEOPLE[:number]), {"max_row_drop_percent": 20}, [lines(*PEOPLE)]) for number in (1, 2, 10)),
    # Held
    File(lines(*PEOPLE[:14]), {"deactivate_missing": True}, [lines(*PEOPLE)]),
    File(lines(*PEOPLE[:14]), {"deactivate_missing": True}, [lines(*PEOPLE)], dry_run=True),
    File(lines(ANN), {"deactivate_missing": True}, [lines(ANN, BO, CY)]),
    File(lines(ANN, BO), {"max_creations_percent": 0}, [lines(ANN)]),
    File(lines(ANN, BO, CY), {"max_creations_percent": 0}, [lines(ANN)]),
    *(
        File(
            lines(*(f"{person},Cook" for person in (ANN, BO)[:number]), header=f"{HEADER},job_title"),
            {"max_updates_percent": 0},
            [lines(ANN, BO, CY)],
        )
        for number in (1, 2)
    ),
    File(lines(*PEOPLE[:19])[:-1], {"deactivate_missing": True}, [lines(*PEOPLE)]),
    File(lines(*PEOPLE[:18], ""), {"deactivate_missing": True}, [lines(*PEOPLE)]),
]

FILES: list[File] = [*_FAILING, *_WHOLE_FILE, *_CELLS, *_USERS]


@dataclass(frozen=True, slots=True)
class Undo:
    """Files that are imported, then what else changes users.db, then the undo of the last of them."""

    files: Sequence[str]
    sql: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


_TITLE = f"{HEADER},job_title,primary_team"
UNDONE: list[Undo] = [
    Undo([lines(f"{ANN},Cook,Ops", header=_TITLE), lines(f"{ANN},Boss,Sales", header=_TITLE)]),
    Undo(
        [lines(f"{ANN},Cook,Ops", header=_TITLE), lines(f"{ANN},Boss,Sales", header=_TITLE)],
        "UPDATE users SET job_title = 'Queen'",
    ),
    Undo(
        [lines(f"{ANN},Cook,Ops", header=_TITLE), lines(f"{ANN},Boss,Sales", header=_TITLE)],
        "DELETE FROM teams WHERE name = 'Ops'",
    ),
    Undo([lines(ANN, BO), lines("Ann,Low,ann@lee.test", "Bo,Low,bo@ng.test")]),
    Undo([lines(ANN)], "UPDATE users SET protected = 1"),
    Undo([lines(ANN, BO)]),
    Undo([lines(ANN, BO), lines("Ann,Low,ann@lee.test", "Bo,Low,bo@ng.test")], "DELETE FROM users WHERE id = 1"),
    Undo(
        [_badge(f"{ANN},1", f"{BO},2"), _badge("Ann,Lee,ann@new.test,1", f"{BO},2")],
        "UPDATE users SET email = 'ann@lee.test', email_key = 'ann@lee.test' WHERE external_id = '2'",
        BY_BADGE,
    ),
]
