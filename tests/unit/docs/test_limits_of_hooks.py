"""docs/hooks.md has the limits of hooks as the code has them."""

from __future__ import annotations

import re

import pytest

from ground.keeper import MOST_PROCESSES
from headcount.hooks import MAX_SECONDS
from importer.model import MESSAGES_IN_REPORT
from server.files.patterns import Pattern
from server.runs import report
from server.runs.python import answers
from server.runs.python.calling import ACCEPTS_OF_A_TENANT
from server.runs.python.pool import ACCEPTS_AT_ONCE, DELIVERIES_AT_ONCE
from server.runs.runner import AT_ONCE
from server.runs.turns import LONGEST_S
from tests.support import ROOT

PAGE = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
LIMITS = dict(re.findall(r"^\| ([^|]+) \| ([\d,]+)[^|]* \| [^|]+ \|$", PAGE.partition("## Limits")[2], re.MULTILINE))


def test_the_page_has_every_limit_of_hooks() -> None:
    assert {name: int(most.replace(",", "")) for name, most in LIMITS.items()} == {
        "Messages in a report": MESSAGES_IN_REPORT,
        "Messages in a `Result`": answers.MOST_MESSAGES,
        "Counts": report.COUNTS_KEPT,
        "A sentence: a message, or `why` of a `Retry`": report.LETTERS_KEPT,
        "A code, a column, the name of a count": report.WORD_KEPT,
        "A `Result` as JSON, from a process": answers.LONGEST_ANSWER // 1024**2,
        "`timeout_s`, `accept_timeout_s`": MAX_SECONDS,
        "`after_s` of a `Retry`": LONGEST_S,
        "Runs of one hook at once, each of another tenant": AT_ONCE,
        "Deliveries of one hook in processes at once": DELIVERIES_AT_ONCE,
        "`accept` of one hook in processes at once": ACCEPTS_AT_ONCE,
        "`accept` of one tenant at once": ACCEPTS_OF_A_TENANT,
        "Processes that an attempt starts": MOST_PROCESSES,
    }
    assert f"`{report.MORE}`" in PAGE


@pytest.mark.parametrize("name", [".a.csv", "~a.csv", "a.filepart", "a.part", "a.partial", "a.tmp", "a~", "a.TMP"])
def test_the_page_names_what_a_star_does_not_stand_for(name: str) -> None:
    assert not Pattern("/invoices/*").matches(f"/invoices/{name}")
    begins_or_ends = name[0] if name[0] in ".~" else name[1:].lower()
    assert f"`{begins_or_ends}`" in PAGE.partition("`*` does not stand for")[2].partition("\n\n")[0]
