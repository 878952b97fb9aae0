"""The examples of docs/errors.md, each in an import: it gets its code and no other.

A code that needs more than one small file is tested elsewhere: `ELSEWHERE` says where.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from importer.model import Problem
from tests.support import ROOT
from tests.support.importing import sheet
from tests.support.installation import company_in
from tests.unit.docs.test_errors_docs import CUSTOM_FIELDS, FAILS, HOLDS, REJECTS, SAYS, UNDOES

HEADER = ("first_name", "last_name", "email", "manager")
PLAIN = "first_name,last_name,email"
LONG = "," + 30_000 * "x"
EXAMPLES = [(row[0].strip("`"), row[-2]) for row in [*REJECTS, *SAYS] if "⏎" in row[-2]]
FAILED = [(row[0].strip("`"), row[1].strip("`")) for row in FAILS if "⏎" in row[1]]
ROW_EXAMPLES = [row[:3] for row in REJECTS if row[2].startswith("`") and "⏎" not in row[2]]
BADGE = {"key": "badge", "type": "text"}
FIELDS = [field.model_dump() for field in CUSTOM_FIELDS]
SETTINGS: dict[str, dict[str, Any]] = {
    "not_reactivated": {"reactivate_returning": False},
    "absent_not_deactivated": {"deactivate_missing": True},
}
BESIDES = {
    "absent_not_deactivated": ["missing_value"],
    "leaver_cells_differ": ["last_admin"],
}
"""The other codes that an example cannot avoid."""

PLAYED: dict[str, tuple[bytes, dict[str, Any]]] = {
    "empty_file": (b"", {}),
    "every_row_rejected": (b"first_name,last_name,email\nAnn,,ann@lee.test\n", {}),
    "not_a_csv_file": (b"PK\x03\x04" + b"\0" * 40, {}),
    "wrong_encoding": ("first_name,last_name,email\nZoë,Lee,zoe@lee.test\n".encode("cp1252"), {}),
    "too_many_columns": (f"{PLAIN}{',x' * 254}\n".encode(), {}),
    "cell_too_long": (f"{PLAIN}\nAnn,{'x' * 65_537},ann@lee.test\n".encode(), {}),
    "row_too_long": (f"{PLAIN}{',_' * 40}\nAnn,Lee,ann@lee.test{LONG * 40}\n".encode(), {}),
    "too_long": (f"{PLAIN},job_title\nAnn,Lee,ann@lee.test,{'x' * 300}\nBo,Ng,bo@ng.test,\n".encode(), {}),
    "control_character": (f"{PLAIN},job_title\nAnn,Lee,ann@lee.test,a\x07b\nBo,Ng,bo@ng.test,\n".encode(), {}),
    "perhaps_utf_8": (f"{PLAIN}\nZoë,Lee,zoe@lee.test\n".encode(), {"encoding": "cp1252"}),
    "column_not_used": (
        b"first_name,last_name,WorkMail,Mail\nAnn,Lee,ann@lee.test,\n",
        {"field_mapping": {"WorkMail": "email", "Mail": "email"}},
    ),
    "mangled_number": (f"{PLAIN},badge\nAnn,Lee,ann@lee.test,1.23E+05\n".encode(), {"custom_fields": [BADGE]}),
    "bad_active": (
        f"{PLAIN},Active\nAnn,Lee,ann@lee.test,maybe\nBo,Ng,bo@ng.test,yes\n".encode(),
        {"field_mapping": {"Active": "active"}},
    ),
    "reversed_flag": (
        f"{PLAIN},Active\nAnn,Lee,ann@lee.test,no\n".encode(),
        {"field_mapping": {"Active": "deactivate"}},
    ),
    "footer_missing": (f"{PLAIN}\nAnn,Lee,ann@lee.test\nBo,Ng,bo@ng.test\n".encode(), {"skip_last_lines": 1}),
    "end_mark": (f"{PLAIN}\nAnn,Lee,ann@lee.test\n\x1a".encode(), {}),
    "possibly_truncated": (f"{PLAIN}\nAnn,Lee,ann@lee.test\n".encode(), {"detect_truncation": True}),
}
"""The codes whose example in the docs is in words: file and settings."""

ELSEWHERE = {
    "checksum_differs": "queue/test_checksums.py",
    "checksum_missing": "queue/test_checksums.py",
    "checksum_unread": "queue/test_checksums.py",
    "most_rows_are_leavers": "reconcile/test_unread_leavers.py",
    "internal_error": "worker/test_worker.py",
    "gave_up": "worker/test_recovery.py",
    "email_taken": "reconcile/test_identifier.py",
    "address_taken_over": "reconcile/test_addresses.py",
    "changed_since": "reconcile/test_undo.py",
    "removed_since": "reconcile/test_undo.py",
    "perhaps_the_same_person": "reconcile/test_renumbered.py",
    "identifiers_changed": "reconcile/test_renumbered.py",
    "too_many_deactivations": "reconcile/test_guard_holds.py",
    "too_many_creations": "reconcile/test_guard_holds.py",
    "too_many_updates": "reconcile/test_guard_holds.py",
}
"""The codes that need more than one small file, and the test file of each."""


async def messages_of(folder: Path, content: str | bytes, **settings: Any) -> list[Problem]:
    """Import `content` for a company with the users of the docs, and return the messages."""
    company = company_in(folder)
    people = [
        ("Ann", "Lee", "ann@lee.test", "bo@ng.test"),
        ("Bo", "Ng", "bo@ng.test", ""),
        ("Cy", "Dee", "cy@dee.test", ""),
        ("Di", "Orr", "di@orr.test", ""),
    ]
    await company.run(sheet(*people, header=HEADER))
    await company.sql("UPDATE users SET state = 'deactivated' WHERE email = 'cy@dee.test'")
    await company.sql("UPDATE users SET role = 'admin' WHERE email = 'ann@lee.test'")
    await company.sql("UPDATE users SET protected = true WHERE email = 'di@orr.test'")
    raw = content.encode() if isinstance(content, str) else content
    outcome = await company.run(raw, **{"detect_truncation": False, **settings})
    return list(outcome.messages)


@pytest.mark.parametrize(("code", "example"), EXAMPLES, ids=[code for code, _ in EXAMPLES])
async def test_an_example_in_the_docs_gets_the_code_of_the_docs(tmp_path: Path, code: str, example: str) -> None:
    content = example.split("`")[1].replace("⏎", "\n")
    problems = await messages_of(tmp_path, content, **SETTINGS.get(code, {}))
    assert sorted(problem.code for problem in problems) == sorted([code, *BESIDES.get(code, [])])


@pytest.mark.parametrize(("code", "example"), FAILED, ids=[code for code, _ in FAILED])
async def test_a_failing_file_in_the_docs_fails_with_its_code(tmp_path: Path, code: str, example: str) -> None:
    content = example.replace("⏎", "\n").replace("␍", "\r").replace("␀", "\0")
    assert (await messages_of(tmp_path, content))[0].code == code


@pytest.mark.parametrize(("code", "column", "example"), ROW_EXAMPLES, ids=[row[0] for row in ROW_EXAMPLES])
async def test_a_rejected_row_in_the_docs_is_rejected_with_its_code(
    tmp_path: Path, code: str, column: str, example: str
) -> None:
    name = column.strip("`")
    header = PLAIN if not name or name in PLAIN.split(",") else f"{PLAIN},{name}"
    good = "Bo,Ng,bo@ng.test" + "," * (header.count(",") - 2)
    content = f"{header}\n{example.split('`')[1]}\n{good}\n"
    problems = await messages_of(tmp_path, content, custom_fields=FIELDS)
    assert [(problem.code, problem.column) for problem in problems] == [(code.strip("`"), name or None)]


@pytest.mark.parametrize("code", PLAYED)
async def test_an_example_in_words_gets_the_code_of_the_docs(tmp_path: Path, code: str) -> None:
    content, settings = PLAYED[code]
    assert (await messages_of(tmp_path, content, **settings))[0].code == code


def test_every_code_in_the_docs_is_tested_with_an_import() -> None:
    played = {code for code, _ in [*EXAMPLES, *FAILED]} | {row[0].strip("`") for row in ROW_EXAMPLES} | PLAYED.keys()
    on_the_page = {row[0].strip("`") for row in [*FAILS, *REJECTS, *SAYS, *UNDOES, *HOLDS]}
    assert on_the_page == played | ELSEWHERE.keys()
    for code, file in ELSEWHERE.items():
        text = (ROOT / "tests" / "integration" / file).read_text(encoding="utf-8")
        assert f'"{code}"' in text or f"GuardReason.{code.upper()}" in text, f"{file} does not test {code}"


async def test_a_correct_file_for_the_users_of_the_docs_has_no_messages(tmp_path: Path) -> None:
    assert await messages_of(tmp_path, "first_name,last_name,email\nAnn,Lee,ann@lee.test\n") == []
