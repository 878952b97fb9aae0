"""The mails and webhooks of runs of hooks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.runs import Run, RunOutcome
from importer.model import ImportState
from server.notify.layout import Letter, Links
from server.notify.rendering import letter_from
from server.notify.run_letters import SUBJECTS, run_data, run_mail
from server.runs.report import run_json
from tests.support.sentences import assert_short

NOON = "2026-03-31T12:00:00.000Z"
RUN = Run(
    *("acme", 7, "invoices", "/invoices/march.csv", ImportState.COMPLETED, 3, 120, NOON),
    finished_at=NOON,
    attempts=1,
    message="12 invoices read.",
)
FAILED = replace(RUN, state=ImportState.FAILED)
LINKS = Links("https://hr.example.com")


def letter(run: Run, links: Links = LINKS) -> Letter:
    mail = run_mail(run, links)
    assert mail
    return letter_from(mail)


@pytest.mark.parametrize("state", SUBJECTS)
def test_the_first_sentence_names_the_file_the_company_and_what_is_needed(state: ImportState) -> None:
    written = letter(replace(RUN, state=state))
    first = written.text.split("\n")[0]
    assert "march.csv" in first
    assert "acme" in first
    assert first.endswith(" 12 invoices read.")
    assert written.subject.startswith("[Headcount] acme: ")
    assert "https://hr.example.com/tenants/acme/files/7" in written.text
    assert_short(written.text.split("Company:")[0])


def test_a_mail_without_an_address_says_where_the_file_is() -> None:
    assert "Open file 7 on the page Files." in letter(FAILED, Links()).text


def test_a_mail_has_what_the_hook_said_and_not_what_the_operator_reads() -> None:
    said = {"severity": "error", "code": "hook", "line": 2, "column": "net", "value": None, "message": "No number."}
    outcome = RunOutcome({"invoices": 1234}, (said, *[{**said, "line": None, "column": None}] * 20))
    text = letter(replace(RUN, state=ImportState.COMPLETED_WITH_ERRORS, outcome=outcome, error="KeyError: 'x'")).text
    assert "- invoices: 1,234" in text
    assert "- Line 2, column net: No number." in text
    assert text.count("No number.") == 10
    assert "More messages are on the page and in the report." in text
    assert "KeyError" not in text


def test_the_name_of_a_file_cannot_break_a_mail() -> None:
    written = letter(replace(FAILED, path="/invoices/a\nBcc: x@y.test\n\n<b>.csv"))
    assert "\n" not in written.subject
    assert written.text.startswith("The file a Bcc: x@y.test <b>.csv of acme was not processed")
    assert written.html
    assert "<b>.csv" not in written.html


def test_a_webhook_has_the_report_and_the_tenant() -> None:
    assert run_data(RUN) == {"tenant": "acme", **run_json(RUN)}
