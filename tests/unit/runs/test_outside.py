"""The end of an attempt of a hook outside the server, and the facts that it gets."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from headcount.hooks import Result
from server.runs.ends import Again, Done, End, Failed
from server.runs.outside import command, facts, posting
from server.runs.registry import Attempt

ATTEMPT = Attempt(
    "acme", 7, "invoices", "/invoices/März 1.csv", 3, "ab" * 32, "2026-03-31T08:00:00Z", 2, {}, Path("/d/7.file"),
    Path("/d/7.reports"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("status", "end"),
    [
        (200, Done), (204, Done), (299, Done), (408, Again), (425, Again), (429, Again), (500, Again), (503, Again),
        (599, Again), (301, Failed), (307, Failed), (400, Failed), (404, Failed), (410, Failed), (413, Failed),
    ],
)  # fmt: skip
def test_an_answer_decides_the_end(status: int, end: type[End]) -> None:
    assert isinstance(posting.end_of(status, "https://example.com"), end)


@pytest.mark.parametrize(
    ("code", "end"),
    [(0, Done), (75, Again), (1, Failed), (2, Failed), (127, Failed), (255, Failed), (-9, Again), (None, Again)],
)
def test_an_exit_code_decides_the_end(code: int | None, end: type[End]) -> None:
    assert isinstance(command.end_of(code, Result(), None, 600), end)


def test_words_of_the_program_are_for_the_tenant_and_its_complaint_for_the_operator() -> None:
    found = command.end_of(3, Result("The amount on line 4 is wrong."), "KeyError: amount", 600)
    assert found == Failed("The amount on line 4 is wrong.", "exit code 3: KeyError: amount")


def test_a_signal_is_named_and_the_words_of_a_broken_run_are_not_used() -> None:
    found = command.end_of(-11, Result("half a sen"), None, 600)
    assert found == Again("The program of this hook was stopped or crashed.", "ended by SIGSEGV")
    assert command.end_of(-40, Result(), None, 600) == Again(found.message, "ended by signal 40")


def test_attempts_have_one_delivery_id_and_other_files_have_others() -> None:
    """A tenant that is removed and added, or a restored database, counts its runs from a smaller number again."""
    found = facts.delivery_id(ATTEMPT)
    assert re.fullmatch("run_acme_invoices_7_[0-9a-f]{16}", found)
    assert facts.delivery_id(replace(ATTEMPT, attempt=3, copy=Path("/other"))) == found
    others = [
        replace(ATTEMPT, sha256="cd" * 32),
        replace(ATTEMPT, uploaded_at="2026-03-31T08:00:01Z"),
        replace(ATTEMPT, run_id=8),
        replace(ATTEMPT, hook="scans"),
        replace(ATTEMPT, tenant="globex"),
    ]
    assert len({found, *map(facts.delivery_id, others)}) == 6


def test_a_command_gets_the_facts_as_variables() -> None:
    assert facts.variables(ATTEMPT) == {
        "HEADCOUNT_TENANT": "acme",
        "HEADCOUNT_HOOK": "invoices",
        "HEADCOUNT_PATH": "/invoices/März 1.csv",
        "HEADCOUNT_NAME": "März 1.csv",
        "HEADCOUNT_SIZE": "3",
        "HEADCOUNT_SHA256": "ab" * 32,
        "HEADCOUNT_UPLOADED_AT": "2026-03-31T08:00:00Z",
        "HEADCOUNT_ATTEMPT": "2",
        "HEADCOUNT_FILE": "/d/7.file",
    }


def test_a_receiver_gets_the_facts_as_headers() -> None:
    assert facts.headers(ATTEMPT) == {
        "headcount-tenant": "acme",
        "headcount-hook": "invoices",
        "headcount-path": "/invoices/M%C3%A4rz%201.csv",
        "headcount-name": "M%C3%A4rz%201.csv",
        "headcount-size": "3",
        "headcount-sha256": "ab" * 32,
        "headcount-uploaded-at": "2026-03-31T08:00:00Z",
        "headcount-attempt": "2",
    }
