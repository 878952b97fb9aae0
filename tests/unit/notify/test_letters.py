"""What mails say: one sentence that says what happened, and nothing that does not belong there."""

from __future__ import annotations

from typing import Any

import pytest

from importer.model import Counts, FileFacts, Guard, GuardReason, ImportState, Problem, Severity
from importer.report import Report
from server.notify.letters import EVENTS, LEAVERS_SHOWN, import_data, letter_of, stale_letter
from server.notify.templates import BUILT_IN, choose, write
from server.tenants.invitation_template import InvitationTemplate

GUARD = Guard((GuardReason.TOO_MANY_DEACTIVATIONS,), 10, 100, 25)


def report(state: ImportState, **facts: Any) -> Report:
    file = FileFacts("sync_users.csv", 1234, "ab" * 32, 30)
    return Report(7, "acme", state, False, file, "2026-03-01T12:00:00.000Z", **facts)


def leaver(number: int) -> dict[str, Any]:
    return {
        "action": "deactivated",
        "user_id": number,
        "identifier": f"p{number}@example.com",
        "email": f"p{number}@example.com",
        "name": f"Person {number}",
        "absent": True,
    }


@pytest.mark.parametrize("state", EVENTS)
def test_every_mail_begins_with_a_sentence_that_says_what_happened(state: ImportState) -> None:
    letter = letter_of(report(state, message="It broke off after 5 bytes.", guard=GUARD))
    first, blank, *_ = letter.text.split("\n")
    assert first.endswith(".")
    assert blank == ""
    assert "acme" in letter.subject
    assert "7" in letter.subject or state is ImportState.ABORTED


def test_the_mail_of_an_applied_import_counts() -> None:
    letter = letter_of(report(ImportState.COMPLETED, counts=Counts(created=1200, unchanged=3)))
    assert letter.text.startswith("sync_users.csv was applied: 1,200 created, 3 unchanged.\n")


def test_the_mail_of_rejected_rows_says_where_they_are_and_what_to_do() -> None:
    problem = Problem(Severity.ERROR, "bad_date", "Write the date as YYYY-MM-DD.", 12, "hire_date", "31.02.")
    letter = letter_of(report(ImportState.COMPLETED_WITH_ERRORS, counts=Counts(rejected=1), messages=(problem,)))
    assert "but for 1 row that was rejected" in letter.text
    assert "/results/sync_users-7.errors.csv" in letter.text
    assert "- line 12: hire_date: Write the date as YYYY-MM-DD." in letter.text
    assert "31.02." not in letter.text, "the message has what may be shown"


def test_the_mail_of_an_import_says_what_to_look_at_and_its_subject_asks_for_it() -> None:
    look = "Look at this first: names may be garbled."
    letter = letter_of(report(ImportState.COMPLETED, counts=Counts(updated=19), message=look))
    assert letter.text.startswith(f"sync_users.csv was applied: 19 updated. {look}\n")
    assert letter.subject == "[Headcount] acme: import 7 was applied: please check"


def test_a_mail_tells_what_many_rows_have_in_common_once() -> None:
    date = [
        Problem(Severity.ERROR, "bad_date", f"hire_date “{day}”: Write it.", day, "hire_date", f"{day}")
        for day in range(10, 39)
    ]
    whole = [Problem(Severity.WARNING, "unread_leavers", f"About column {number}.") for number in range(15)]
    others = [Problem(Severity.WARNING, "unknown_link", f"Case {chr(97 + number)}.", 50) for number in range(20)]
    letter = letter_of(report(ImportState.COMPLETED_WITH_ERRORS, messages=(*whole, *date, *others)))
    assert "- 29 rows: hire_date: Write it. (lines 10, 11, 12, 13, 14, …)\n" in letter.text
    assert letter.text.count("About column") == 15, "what is about the whole file is never cut off"
    assert letter.text.count("Case ") == 9
    assert "- and more: all of it is in the report." in letter.text


def test_the_mail_of_a_held_import_names_the_first_leavers_and_how_to_decide() -> None:
    held = report(ImportState.HELD, message="It would deactivate 25 of 100.", guard=GUARD)
    letter = letter_of(held, [leaver(number) for number in range(LEAVERS_SHOWN)])
    assert "nothing was changed: It would deactivate 25 of 100." in letter.text
    assert "It would deactivate 25 users. The first 20 of them:" in letter.text
    assert "  p19@example.com  Person 19\n" in letter.text
    assert "  headcount import approve acme 7\n" in letter.text
    assert "  headcount import discard acme 7\n" in letter.text


def test_what_people_are_called_makes_no_lines_of_its_own() -> None:
    nasty = {**leaver(1), "name": "Ann\r\nBcc: eve@example.com\n\nhello"}
    letter = letter_of(report(ImportState.HELD, guard=GUARD), [nasty])
    assert "  p1@example.com  Ann Bcc: eve@example.com hello\n" in letter.text
    odd = Report(1, "acme", ImportState.ABORTED, False, FileFacts("x\r\nBcc: y", 1), "2026", message="Gone.")
    assert letter_of(odd).subject == "[Headcount] acme: the upload of x Bcc: y broke off"


def test_a_webhook_has_the_report_and_the_leavers() -> None:
    held = report(ImportState.HELD, guard=GUARD)
    data = import_data(held, [leaver(1)])
    assert data["guard"]["would_deactivate"] == 25
    assert data["would_deactivate"] == [
        {"identifier": "p1@example.com", "email": "p1@example.com", "name": "Person 1"}
    ]
    assert import_data(held) == held.to_json()


def test_a_stale_feed_is_told_with_the_day_of_its_last_file() -> None:
    assert "No file of acme has been applied for 3 days." in stale_letter("acme", 3, "2026-03-01").text
    assert "2026-03-01" in stale_letter("acme", 3, "2026-03-01").text
    assert "None has been applied" in stale_letter("acme", 3, None).text


def test_an_invitation_is_in_the_language_of_the_user() -> None:
    templates = {name: InvitationTemplate(subject=name, text="x") for name in ("en", "de", "pt-BR")}
    found = {language: choose(templates, language).subject for language in ("de", "en-US", "pt-BR", "ja")}
    assert found == {"de": "de", "en-US": "en", "pt-BR": "pt-BR", "ja": "en"}
    assert choose({}, "de") is BUILT_IN


def test_a_template_is_filled_in_once_and_obeys_nothing_it_was_given() -> None:
    template = InvitationTemplate(subject="Hi {first_name}", text="{first_name} {last_name}, {hire_date}: {{email}}")
    values = {"first_name": "{email}\r\nBcc: x", "last_name": "%s {0.__class__}", "hire_date": None, "email": "a@b.c"}
    letter = write(template, values)
    assert letter.subject == "Hi {email} Bcc: x"
    assert letter.text == "{email} Bcc: x %s {0.__class__}, : {a@b.c}"


@pytest.mark.parametrize("text", ["Hello {name}", "", " ", "x" * 20_001])
def test_a_template_that_cannot_be_filled_in_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"stands for nothing|blank"):
        InvitationTemplate(subject="Hi", text=text)
    with pytest.raises(ValueError, match="one line"):
        InvitationTemplate(subject="Hi\nBcc: x", text="x")
