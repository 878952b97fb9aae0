"""The text of mails: the first sentence says what happened, and every count has the right plural."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from importer.model import Counts, FileFacts, Guard, GuardReason, ImportState, Problem, Severity
from importer.report import Report
from server.notify import letters
from server.notify.layout import Letter, Links
from server.notify.letters import EVENTS, LEAVERS_SHOWN, import_data
from server.notify.rendering import letter_from
from server.notify.templates import BUILT_IN, choose, write
from server.tenants.invitation_template import InvitationTemplate
from tests.support.sentences import assert_short

GUARD = Guard((GuardReason.TOO_MANY_DEACTIVATIONS,), 10, 100, 25)


LINKS = Links("https://hr.example.com")
PAGE = "https://hr.example.com/tenants/acme/imports/7"


def letter_of(*facts: Any, **more: Any) -> Letter:
    return letter_from(letters.mail_of(*facts, **more))


def stale_letter(tenant: str, days: int, last: str | None, links: Links = LINKS) -> Letter:
    return letter_from(letters.stale_mail(tenant, days, last, links))


def letter_of_a_test(tenant: str, links: Links = LINKS) -> Letter:
    return letter_from(letters.delivery_test_mail(tenant, links))


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
    letter = letter_of(report(state, message="The upload was interrupted after 5 bytes.", guard=GUARD))
    first, blank, *_ = letter.text.split("\n")
    assert first.endswith(".")
    assert blank == ""
    assert "acme" in first
    assert "acme" in letter.subject
    assert any(need in first for need in ("check it now", "must be fixed", "must approve", "must be sent again"))
    assert "7" in letter.subject or state is ImportState.ABORTED


def test_the_mail_of_an_applied_import_counts() -> None:
    letter = letter_of(report(ImportState.COMPLETED, counts=Counts(created=1200, unchanged=3)))
    assert letter.text.startswith(
        "Import 7 of acme was applied, and there is nothing to do: 1,200 users created and 3 unchanged.\n"
    )
    warned = letter_of(report(ImportState.COMPLETED, counts=Counts(created=1, warnings=2)))
    assert warned.text.startswith("Import 7 of acme was applied; check 2 warnings: 1 user created.\n")


def test_the_mail_of_rejected_rows_says_where_they_are_and_what_to_do() -> None:
    problem = Problem(Severity.ERROR, "bad_date", "Write the date as YYYY-MM-DD.", 12, "hire_date", "31.02.")
    letter = letter_of(report(ImportState.COMPLETED_WITH_ERRORS, counts=Counts(rejected=1), messages=(problem,)))
    assert letter.text.startswith(
        "Import 7 of acme was applied, and 1 rejected row must be fixed: no users changed.\n"
    )
    assert "- Download errors.csv from the page, or /results/sync_users-7.errors.csv over SFTP.\n" in letter.text
    assert "- Upload that file as sync_users.csv." in letter.text
    assert "- line 12: hire_date: Write the date as YYYY-MM-DD." in letter.text
    assert "31.02." not in letter.text, "the message has what may be shown"


def test_the_mail_of_an_import_says_what_to_look_at_and_its_subject_asks_for_it() -> None:
    look = "Look at this first: names may be garbled."
    letter = letter_of(report(ImportState.COMPLETED, counts=Counts(updated=19), message=look))
    assert letter.text.startswith("Import 7 of acme was applied; check it now: 19 users updated.\n")
    assert f"\n\n{look}\n\n" in letter.text
    assert letter.subject == "[Headcount] acme: import 7 was applied: please check"


def test_a_mail_shows_a_message_of_many_rows_once() -> None:
    date = [
        Problem(Severity.ERROR, "bad_date", f"hire_date “{day}”: Write it.", day, "hire_date", f"{day}")
        for day in range(10, 39)
    ]
    whole = [Problem(Severity.WARNING, "unread_leavers", f"About column {number}.") for number in range(15)]
    others = [Problem(Severity.WARNING, "unknown_link", f"Case {chr(97 + number)}.", 50) for number in range(20)]
    letter = letter_of(report(ImportState.COMPLETED_WITH_ERRORS, messages=(*whole, *date, *others)))
    assert "- 29 rows: hire_date: Write it. (lines 10, 11, 12, 13, 14, …)\n" in letter.text
    assert letter.text.count("About column") == 15, "messages about the whole file are never cut off"
    assert letter.text.count("Case ") == 9
    assert "- More messages are on the page and in the report." in letter.text


def test_the_mail_of_a_held_import_names_the_first_leavers_and_links_to_the_decision() -> None:
    held = report(ImportState.HELD, message="It would deactivate 25 of 100.", guard=GUARD, counts=Counts(created=3))
    letter = letter_of(held, [leaver(number) for number in range(LEAVERS_SHOWN)], links=LINKS)
    assert letter.text.startswith(
        "Import 7 of acme is held, and an owner must approve or discard it: It would deactivate 25 of 100.\n\n"
        f"Review it, then approve or discard it:\n{PAGE}\n\nNothing was changed."
    )
    assert "\nExpected result of an approval: 3 users created.\n" in letter.text
    assert "It would deactivate 25 users. The first 20:" in letter.text
    assert "- p19@example.com, Person 19\n" in letter.text


def test_a_mail_without_a_public_address_says_where_the_page_is_and_who_decides() -> None:
    text = letter_of(report(ImportState.HELD, guard=GUARD)).text
    assert "\nOpen import 7 on the page Imports. Ask the operator if you do not know its address. " in text
    assert " An owner can approve or discard it there.\n" in text
    assert "\nThe page Imports lists all uploads." in stale_letter("acme", 3, None, Links()).text


def every_letter(links: Links) -> list[Letter]:
    counts = Counts(created=1200, updated=40, reactivated=2, deactivated=3, unchanged=9000, rejected=2, ignored=1)
    why = f"{letters.HELD_ALREADY}it would deactivate 25 of 100 active users.{letters.DECIDE}"
    facts: dict[str, Any] = {"counts": counts, "message": why, "guard": GUARD}
    ends = [letter_of(report(state, **facts), [leaver(1)], links=links) for state in EVENTS]
    return [*ends, stale_letter("acme", 3, None, links), letter_of_a_test("acme", links)]


@pytest.mark.parametrize("links", [LINKS, Links()])
def test_no_mail_to_a_company_has_a_command(links: Links) -> None:
    for letter in every_letter(links):
        assert not re.search(r"\bheadcount [a-z]", f"{letter.text}{letter.html}")
        assert ("https://" in letter.text) is ("https://" in (letter.html or "")) is (links is LINKS)


class Words(HTMLParser):
    """The words of a page, and the addresses of its links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.links: list[str | None] = []
        self.feed(page[page.index("<body") :])

    def handle_data(self, data: str) -> None:
        self.found += data.split()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in {"img", "script", "style", "link", "iframe"}
        if tag == "a":
            self.links.append(dict(attrs)["href"])


def test_the_html_of_a_mail_says_the_same_as_its_text() -> None:
    for letter in every_letter(LINKS):
        page = Words(letter.html or "")
        plain = re.sub(r"^- |^https:.*$|(?<=[a-z]):$", "", letter.text, flags=re.MULTILINE).split()
        assert [word.rstrip(":") for word in page.found] == [word.rstrip(":") for word in plain]
        assert page.links == re.findall(r"^https:.*$", letter.text, re.MULTILINE)


def test_values_in_the_html_of_a_mail_are_text() -> None:
    nasty = {**leaver(1), "name": "<img src=x onerror=alert(1)>", "email": '"><script>'}
    html = letter_of(report(ImportState.HELD, guard=GUARD), [nasty], links=LINKS).html or ""
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert "<script" not in html


def test_a_failure_of_the_server_asks_for_the_operator_not_for_another_file() -> None:
    internal = Problem(Severity.ERROR, "internal_error", "Tell the operator.")
    ours = letter_of(report(ImportState.FAILED, message="Tell the operator.", messages=(internal,))).text
    assert ours.startswith("Import 7 of acme failed and changed no user, and the operator must look: Tell")
    wrong = letter_of(report(ImportState.FAILED, message="Export it again.")).text
    assert wrong.startswith(
        "Import 7 of acme failed and changed no user, and the file must be fixed and sent again: Export it again.\n"
    )


def test_a_name_with_line_ends_adds_no_lines_to_a_mail() -> None:
    nasty = {**leaver(1), "name": "Ann\r\nBcc: eve@example.com\n\nhello"}
    letter = letter_of(report(ImportState.HELD, guard=GUARD), [nasty])
    assert "- p1@example.com, Ann Bcc: eve@example.com hello\n" in letter.text
    odd = Report(1, "acme", ImportState.ABORTED, False, FileFacts("x\r\nBcc: y", 1), "2026", message="Gone.")
    assert letter_of(odd).subject == "[Headcount] acme: the upload of x Bcc: y was interrupted"


def test_a_webhook_has_the_report_and_the_leavers() -> None:
    held = report(ImportState.HELD, guard=GUARD)
    data = import_data(held, [leaver(1)])
    assert data["guard"]["would_deactivate"] == 25
    assert data["would_deactivate"] == [
        {"identifier": "p1@example.com", "email": "p1@example.com", "name": "Person 1"}
    ]
    assert import_data(held) == held.to_json()


def test_the_mail_of_a_stale_feed_has_the_end_of_the_newest_applied_import() -> None:
    text = stale_letter("acme", 3, "2026-03-01T06:00:04.120Z").text
    assert text.startswith(
        "No file of acme was applied for 3 days: check that the export runs and its uploads arrive.\n\n"
        "See all uploads:\nhttps://hr.example.com/tenants/acme/imports\n"
    )
    assert "The newest applied import ended at 2026-03-01 06:00 UTC." in text
    assert "No file was ever applied." in stale_letter("acme", 3, None).text


@pytest.mark.parametrize(("days", "words"), [(1, "1 day"), (2, "2 days"), (1200, "1,200 days")])
def test_the_mail_of_a_stale_feed_has_the_right_plural(days: int, words: str) -> None:
    letter = stale_letter("acme", days, None)
    assert letter.subject == f"[Headcount] acme: no file for {words}"
    assert letter.text.startswith(f"No file of acme was applied for {words}: check")


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (Counts(), "no users changed"),
        (Counts(created=1), "1 user created"),
        (Counts(created=2), "2 users created"),
        (Counts(deactivated=1, unchanged=1200), "1 user deactivated and 1,200 unchanged"),
        (Counts(created=12, updated=40, deactivated=3), "12 users created, 40 updated and 3 deactivated"),
        (Counts(updated=2, ignored=1), "2 users updated; 1 row ignored"),
        (Counts(reactivated=1, ignored=2), "1 user reactivated; 2 rows ignored"),
    ],
)
def test_the_counts_of_a_mail_have_the_right_plural(counts: Counts, words: str) -> None:
    text = letter_of(report(ImportState.COMPLETED, counts=counts)).text
    assert text.startswith(f"Import 7 of acme was applied, and there is nothing to do: {words}.\n")


@pytest.mark.parametrize(
    ("rejected", "words"),
    [(1, "1 rejected row"), (2, "2 rejected rows"), (1200, "1,200 rejected rows")],
)
def test_the_rejected_rows_of_a_mail_have_the_right_plural(rejected: int, words: str) -> None:
    text = letter_of(report(ImportState.COMPLETED_WITH_ERRORS, counts=Counts(created=1, rejected=rejected))).text
    assert text.startswith(f"Import 7 of acme was applied, and {words} must be fixed: 1 user created.\n")


@pytest.mark.parametrize(
    ("size", "rows", "words"), [(0, 0, "0 bytes, 0 rows"), (1, 1, "1 byte, 1 row"), (2, None, "2 bytes")]
)
def test_the_facts_of_a_mail_have_the_right_plural(size: int, rows: int | None, words: str) -> None:
    file = FileFacts("sync_users.csv", size, None, rows)
    ended = Report(7, "acme", ImportState.FAILED, False, file, "2026-03-01T12:00:00.000Z")
    assert letter_of(ended).text.endswith(
        f"Company: acme\nImport: 7\nFile: sync_users.csv, {words}\nUploaded: 2026-03-01 12:00 UTC\n"
        "Report: /results/sync_users-7.json\n"
    )


@pytest.mark.parametrize(
    ("total", "named", "words"),
    [(1, 1, "1 user:"), (2, 2, "2 users:"), (21, 20, "21 users. The first 20:"), (2, 0, "")],
)
def test_the_users_of_a_held_mail_have_the_right_plural(total: int, named: int, words: str) -> None:
    guard = Guard((GuardReason.TOO_MANY_DEACTIVATIONS,), 10, 100, total)
    text = letter_of(report(ImportState.HELD, guard=guard), [leaver(number) for number in range(named)]).text
    assert (f"\nIt would deactivate {words}\n" in text) is bool(named)


def test_the_mail_of_a_held_import_says_once_that_nothing_was_changed() -> None:
    why = "it would deactivate 25 of 100 active users. Review the users, then approve or discard."
    text = letter_of(report(ImportState.HELD, message=f"Held, nothing was changed: {why}", guard=GUARD)).text
    assert text.startswith(
        "Import 7 of acme is held, and an owner must approve or discard it: "
        "it would deactivate 25 of 100 active users.\n"
    )
    assert text.count("othing was changed") == 1


@pytest.mark.parametrize("links", [LINKS, Links()])
def test_the_sentences_of_every_mail_are_short(links: Links) -> None:
    assert_short("\n\n".join([*(letter.text for letter in every_letter(links)), BUILT_IN.text]))


def test_an_invitation_is_in_the_language_of_the_user() -> None:
    templates = {name: InvitationTemplate(subject=name, text="x") for name in ("en", "de", "pt-BR")}
    found = {language: choose(templates, language).subject for language in ("de", "en-US", "pt-BR", "ja")}
    assert found == {"de": "de", "en-US": "en", "pt-BR": "pt-BR", "ja": "en"}
    assert choose({}, "de") is BUILT_IN
    assert choose({}, "de", "https://hr.example.com").text == f"{BUILT_IN.text}\nOpen it: https://hr.example.com\n"


def test_names_in_braces_inside_a_value_are_not_replaced() -> None:
    template = InvitationTemplate(subject="Hi {first_name}", text="{first_name} {last_name}, {hire_date}: {{email}}")
    values = {"first_name": "{email}\r\nBcc: x", "last_name": "%s {0.__class__}", "hire_date": None, "email": "a@b.c"}
    letter = write(template, values)
    assert letter.subject == "Hi {email} Bcc: x"
    assert letter.text == "{email} Bcc: x %s {0.__class__}, : {a@b.c}"


@pytest.mark.parametrize("text", ["Hello {name}", "", " ", "x" * 20_001])
def test_a_template_that_cannot_be_filled_in_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"has the unknown name|not be blank"):
        InvitationTemplate(subject="Hi", text=text)
    with pytest.raises(ValueError, match="one line"):
        InvitationTemplate(subject="Hi\nBcc: x", text="x")
