"""`headcount users` and `headcount check`."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ground.moments import utc_now
from importer.model import Guard, GuardReason, ImportState, Outcome
from importer.reconcile.job import Job
from importer.reconcile.run import run_import
from importer.report import Report
from importer.users.settled import Settled
from server.cli.report_view import print_report
from server.tenants.settings import TenantSettings, read_settings
from tests.support.cli import Ran, run_cli
from tests.support.installation import Installation, installation

HEADER = (
    "first_name,last_name,email,job_title,manager,coach,primary_team,secondary_team,role,language,location,time_zone,"
    "hire_date,leave_date,deactivate\r\n"
)
PEOPLE = HEADER + (
    'Ada,Lovelace,ada@example.com,"Countess, of Lovelace",,,Analysts,,admin,en,London,London,1815-12-10,,\r\n'
    "'=Grace,Hopper,grace@example.com,''-Rear Admiral,ada@example.com,,Navy,"
    '"Tech\\, London, Back\\\\slash",hr,pt-BR,"New\nYork",Eastern Time (US & Canada),,,\r\n'
    '"Zoë ""Z"" 🎉",Åström,zoe@EXAMPLE.com,,grace@example.com,ada@example.com,,,,,,,2024-02-29,2999-12-31,\r\n'
    "O'Brien,\"Robert'); DROP TABLE users\",bob@example.com,,,,,,,,,,,,1\r\n"
    "Ada,Other,other@example.com,,,,Analysts,,,,,,,,\r\n"
)


@pytest.fixture(autouse=True)
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    stored = installation(tmp_path / "data")
    stored.use(monkeypatch)
    assert run_cli("tenant", "add", "acme").code == 0
    # Bob must exist before a row can deactivate him.
    assert apply(stored, PEOPLE.replace(",,,1\r\n", ",,,\r\n"), 1).counts.created == 5
    assert apply(stored, PEOPLE, 2).counts.deactivated == 1
    return stored


def apply(stored: Installation, text: str, number: int, tenant: str = "acme", **settings: Any) -> Outcome:
    folder, users = stored.folder(tenant), stored.users_of(tenant)
    file = folder.uploads / f"{number}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())
    job = Job(tenant, number, file, "sync_users.csv", False, None, None, utc_now())
    chosen = TenantSettings(**settings) if settings else read_settings(users)
    return asyncio.run(run_import(job, users, chosen, folder.messages))


def done(*arguments: str, stdin: bytes = b"") -> Ran:
    ran = run_cli(*arguments, stdin=stdin)
    assert (ran.code, ran.err) == (0, "")
    return ran


def emails(*arguments: str) -> list[str]:
    return [user["email"] for user in done("users", "list", "acme", "--json", *arguments).json]


def test_users_are_listed_searched_and_limited() -> None:
    all_users = ["ada@example.com", "grace@example.com", "zoe@example.com", "bob@example.com", "other@example.com"]
    assert emails() == all_users
    assert emails("--state", "deactivated") == ["bob@example.com"]
    assert emails("--search", "ada") == ["ada@example.com", "other@example.com"]
    assert emails("--limit", "2") == all_users[:2]
    assert done("tenant", "show", "acme", "--json").json["users"] == {"active": 4, "deactivated": 1}


def test_one_user_is_shown_with_all_fields() -> None:
    grace = done("users", "show", "acme", "Grace@Example.com", "--json").json
    assert grace == {
        "first_name": "=Grace",
        "last_name": "Hopper",
        "email": "grace@example.com",
        "job_title": "'-Rear Admiral",
        "manager": "ada@example.com",
        "coach": None,
        "primary_team": "Navy",
        "secondary_team": ["Tech, London", "Back\\slash"],
        "role": "hr",
        "language": "pt-BR",
        "location": "New\nYork",
        "time_zone": "America/New_York",
        "hire_date": None,
        "leave_date": None,
        "state": "active",
        "protected": False,
        "custom": {},
    }


def test_a_value_of_a_file_cannot_control_the_terminal() -> None:
    assert "New\\nYork" in done("users", "show", "acme", "grace@example.com").text


def test_an_unknown_user_is_refused_with_the_command_that_lists_users() -> None:
    for command in ("show", "protect", "unprotect"):
        ran = run_cli("users", command, "acme", "nobody@example.com")
        assert (ran.code, ran.out) == (1, b"")
        assert "headcount users list acme" in ran.err


def test_a_protected_user_survives_a_file_without_them(stored: Installation) -> None:
    assert done("users", "protect", "acme", "zoe@example.com", "--json").json["protected"] is True
    rest = "".join(line for line in PEOPLE.splitlines(keepends=True) if not line.startswith('"Zoë'))
    outcome = apply(stored, rest, 3, deactivate_missing=True)
    assert outcome.counts.deactivated == 0
    assert done("users", "unprotect", "acme", "zoe@example.com", "--json").json["protected"] is False
    assert apply(stored, rest, 4, deactivate_missing=True).counts.deactivated == 1


def test_importing_an_export_changes_no_user(stored: Installation) -> None:
    text = done("users", "export", "acme").text
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert len(rows) == 6
    outcome = apply(stored, text, 3, deactivate_missing=True)
    assert (outcome.state, outcome.counts.unchanged, outcome.messages) == (ImportState.UNCHANGED, 5, ())


def test_an_export_builds_the_same_users_elsewhere(stored: Installation, tmp_path: Path) -> None:
    text = done("users", "export", "acme").text
    assert run_cli("tenant", "add", "twin").code == 0
    apply(stored, text.replace(",1\r\n", ",\r\n"), 1, "twin")  # a new user cannot be created as deactivated
    apply(stored, text, 2, "twin")
    assert done("users", "export", "twin").text == text


def test_an_export_is_a_snapshot_while_an_import_writes(stored: Installation) -> None:
    before = done("users", "export", "acme").out
    with stored.writing_users("acme", "UPDATE users SET first_name = 'half done'"):
        assert done("users", "export", "acme").out == before


@pytest.mark.parametrize(
    ("without", "sentence"),
    [
        (0, ""),
        (1, "1 user has no identifier and was left out: a row cannot identify them.\n"),
        (2, "2 users have no identifier and were left out: a row cannot identify them.\n"),
    ],
)
def test_an_export_counts_the_users_without_an_identifier(stored: Installation, without: int, sentence: str) -> None:
    done("tenant", "set", "acme", 'custom_fields=[{"key": "badge"}]')
    for number in range(1, 6):
        stored.change_users("acme", f'UPDATE users SET custom = \'{{"badge": "B{number}"}}\' WHERE id = {number}')
    done("tenant", "set", "acme", "identifier=badge")
    stored.change_users("acme", f"UPDATE users SET custom = '{{}}' WHERE id <= {without}")
    ran = run_cli("users", "export", "acme")
    assert (ran.code, ran.err) == (0, sentence)
    assert len(list(csv.reader(io.StringIO(ran.text, newline="")))) == 6 - without


def test_a_check_shows_the_expected_result_and_changes_nothing(stored: Installation, tmp_path: Path) -> None:
    before = done("users", "export", "acme").out
    file = tmp_path / "new.csv"
    file.write_text(PEOPLE.replace("Analysts", "Engineers") + "New,Person,new@example.com,,,,,,,,,,,,\r\n")
    report = done("check", "acme", str(file), "--json").json
    assert (report["state"], report["dry_run"], report["file"]["name"]) == ("completed", True, "new.csv")
    assert (report["counts"]["created"], report["counts"]["updated"]) == (1, 2)
    assert done("users", "export", "acme").out == before
    assert done("check", "acme", "-", "--json", stdin=file.read_bytes()).json["counts"] == report["counts"]
    assert done("import", "list", "acme", "--json").json == []


def test_a_check_waits_for_no_import(stored: Installation, tmp_path: Path) -> None:
    file = tmp_path / "same.csv"
    file.write_bytes(done("users", "export", "acme").out)
    with stored.writing_users("acme", "UPDATE users SET first_name = 'half done'"):
        assert done("check", "acme", str(file), "--json").json["state"] == "unchanged"


@pytest.mark.parametrize(
    ("content", "state"),
    [
        (
            HEADER + "Ada,Lovelace,not an address,,,,,,,,,,,,\r\nNew,One,new@example.com,,,,,,,,,,,,\r\n",
            "completed_with_errors",
        ),
        ("first_name,last_name\r\nAda,Lovelace\r\n", "failed"),
        ("", "failed"),
        (HEADER + "Ada,Lovelace,ada@example.com,,,,,,,,,,,,\r\n", "held"),
    ],
)
def test_a_check_exits_with_1_if_rows_are_rejected_or_the_import_held_or_failed(
    tmp_path: Path, content: str, state: str
) -> None:
    done("tenant", "set", "acme", "deactivate_missing=true")
    file = tmp_path / "new.csv"
    file.write_text(content)
    ran = run_cli("check", "acme", str(file), "--json")
    assert (ran.code, ran.json["state"], ran.err) == (1, state, "")
    told = run_cli("check", "acme", str(file))
    assert told.code == 1
    assert f"state     {state}" in told.text


def test_a_check_of_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    ran = run_cli("check", "acme", str(tmp_path / "none.csv"))
    assert (ran.code, ran.out) == (1, b"")
    assert "none.csv: No such file" in ran.err


def test_a_check_names_the_users_that_a_held_import_would_deactivate(tmp_path: Path) -> None:
    done("tenant", "set", "acme", "deactivate_missing=true")
    file = tmp_path / "one.csv"
    file.write_text(HEADER + "Ada,Lovelace,ada@example.com,,,,,,,,,,,,\r\n")
    told = run_cli("check", "acme", str(file)).text
    assert "Held because it would deactivate too many users" in told
    assert "It would deactivate 3 of 4 active users (more than half).\n" in told
    assert '  Zoë "Z" 🎉 Åström\n' in told
    assert "3 deactivated, 3 of them absent" in told
    assert "headcount import approve" not in told


def test_a_report_is_printed_in_sentences(
    stored: Installation, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    outcome = apply(stored, PEOPLE + "Ada,X,nonsense,,,,,,,,,,,,\r\n", 3)
    report = Report(
        id=7, tenant="acme", state=ImportState.HELD, dry_run=False, file=outcome.file, messages=outcome.messages,
        uploaded_at="2026-01-01T08:00:00.000Z", started_at="2026-01-01T08:00:00.000Z",
        finished_at="2026-01-01T08:00:01.500Z", counts=outcome.counts, decided_by="operator",
        decided_at="2026-01-01T09:00:00.000Z", message="Look at it.",
        guard=Guard((GuardReason.POSSIBLY_TRUNCATED,), 10, 1234, 56),
    )  # fmt: skip
    touched = tmp_path / "touched.jsonl"
    people = [{"action": "deactivated", "name": f"Nr. {number}"} for number in range(56)]
    touched.write_text("".join(json.dumps(one) + "\n" for one in [{"action": "created", "name": "New"}, *people]))
    print_report(report, touched)
    told = capsys.readouterr().out
    for part in (
        "Import 7 of acme\n", "Look at it.", "6 rows", "(1.5 s)", "by operator", "1 rejected",
        "line 8: email “nonsense”: ",
        "the file may be incomplete", "56 of 1,234 active users.\n", "  Nr. 19\n  ... and 36 more\n",
        "import approve acme 7",
    ):  # fmt: skip
        assert part in told
    assert "New" not in told
    print_report(replace(report, guard=None, messages=()), touched, "Another title")
    assert capsys.readouterr().out.startswith("Another title\n  state     held\n")
    print_report(replace(report, started_at="2026-01-01T08:00:59.000Z"), touched)
    assert "  finished  2026-01-01T08:00:01.500Z\n" in capsys.readouterr().out, "nothing lasts less than no time"


def test_a_check_prints_a_message_about_many_rows_once(stored: Installation, tmp_path: Path) -> None:
    done("tenant", "set", "acme", "encoding=cp1252")
    file = tmp_path / "many.csv"
    bad = "".join(f"Bad,Row,bad{number}@example.com,,,,,,,,,,{number}th,,\r\n" for number in range(150))
    file.write_text(HEADER + bad + "Zoë,Row,zoe@example.com,,,,,,,,,,,,\r\n", encoding="utf-8")
    told = run_cli("check", "acme", str(file)).text
    rows = [line for line in told.splitlines() if line.endswith("[bad_date]")]
    assert len(rows) == 1
    assert rows[0].startswith("error    150 rows: hire_date: Write the date")
    assert "(lines 2, 3, 4, 5, 6, …; “0th”, “1th”, “2th”, …)" in rows[0]
    lines = told.splitlines()
    assert lines[2].startswith("  message   Look at this first: Read as cp1252")
    assert next(line for line in lines if line.endswith("]")).endswith("[perhaps_utf_8]")


def test_a_custom_field_called_active_is_kept_but_cannot_be_added(stored: Installation, tmp_path: Path) -> None:
    fields = 'custom_fields=[{"key": "active"}]'
    refused = run_cli("tenant", "set", "acme", fields)
    assert refused.code == 1
    assert "cannot have the key active" in refused.err
    users = stored.users_of("acme")
    older = Settled({"custom_fields": '[{"key": "active"}]'}, [])
    asyncio.run(users.change_settings(lambda _: older))
    assert done("tenant", "set", "acme", "retention_days=30").code == 0
    toml = tmp_path / "acme.toml"
    toml.write_text(done("tenant", "show", "acme", "--toml").text, encoding="utf-8")
    assert done("tenant", "load", "acme", str(toml)).code == 0
    assert "active is a custom field of this tenant" in done("tenant", "show", "acme").text
    (note,) = done("tenant", "show", "acme", "--json").json["notes"]
    assert "which marks leavers" in note
