"""The sentences that Python makes for pages: short, and with the right plural for 0, 1 and 2."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from engine.runs import Run
from ground.moments import rfc3339, utc_now
from importer.model import Counts, FileFacts, Guard, GuardReason, ImportState
from importer.report import Report
from server.tenants.setting_texts import SETTING_TEXTS
from server.web.pages.files.sentences import STATES
from server.web.pages.files.sentences import sentence as sentence_of_run
from server.web.pages.imports.chart import Point, described
from server.web.pages.sentences import sentence, undo_means
from server.web.pages.settings.controls import CONTROLS
from server.web.pages.words import NOTICES
from tests.support.plurals import faults_of, long_sentences, mean_length
from tests.support.sentences import AVERAGE_WORDS

FILE = FileFacts("sync_users.csv", 1000)
COUNTS = ("created", "reactivated", "deactivated", "updated", "rejected")
ENDS = (ImportState.COMPLETED, ImportState.COMPLETED_WITH_ERRORS, ImportState.UNCHANGED, ImportState.HELD)
REASONS = [(), *((reason,) for reason in GuardReason), tuple(GuardReason)]


def outcomes() -> list[str]:
    """Return the sentence of every state with 0, 1 and 2 of everything, for real imports and dry runs."""
    found = set()
    for numbers in product((0, 1, 2), repeat=len(COUNTS)):
        counts = Counts(**dict(zip(COUNTS, numbers, strict=True)))
        for state, dry_run, reasons in product(ENDS, (False, True), REASONS):
            fits = GuardReason.TOO_MANY_CREATIONS not in reasons or counts.created + counts.reactivated
            if state is ImportState.HELD and not (fits and counts.deactivated and counts.updated):
                continue
            guard = Guard(reasons, 10, 2, counts.deactivated)
            report = Report(7, "acme", state, dry_run, FILE, rfc3339(utc_now()), counts=counts, guard=guard)
            found.update(sentence(report, decides=decides) for decides in (True, False))
        if any(numbers[:4]):
            found.add(undo_means(counts))
    return sorted(found)


def files() -> list[str]:
    """Return the sentence about a file of a hook in every state, with and without a message."""
    found = []
    for state, attempts, message in product(STATES, range(3), (None, "the bank is away")):
        run = Run(
            "acme", 7, "invoices", "/a.csv", state, 1, 5, rfc3339(utc_now()), attempts=attempts, message=message
        )
        found += [sentence_of_run(replace(run, not_before=due), 60.0) for due in (0.0, 120.0)]
    return sorted(set(found))


def texts() -> list[str]:
    """Return the fixed sentences of notices and of the settings form."""
    parts = [part.hint for control in CONTROLS.values() for part in control.parts.values()]
    careful = [text for control in CONTROLS.values() for text in (control.careful, control.instead)]
    return [*NOTICES.values(), *(text.explanation for text in SETTING_TEXTS.values()), *filter(None, careful), *parts]


def test_sentences_about_imports_have_the_right_plurals_and_no_zeros() -> None:
    found = outcomes()
    assert len(found) > 100
    assert [(text, faults) for text in found if (faults := faults_of(text))] == []


def test_sentences_about_files_of_hooks_say_which_attempt_is_next() -> None:
    found = files()
    assert [(text, faults) for text in found if (faults := faults_of(text))] == []
    assert "The bank is away. Attempt 2 of 5 is next." in found
    assert "Attempt 3 of 5 follows at 1970-01-01 00:02 UTC." in found
    assert all(text.endswith(".") for text in found)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_description_of_the_chart_has_the_right_plurals(count: int) -> None:
    assert faults_of(described([Point("#1", 1, 1, 1, 1)] * count), zeros=True) == []


def test_sentences_of_pages_are_short() -> None:
    found = [*outcomes(), *texts(), *files()]
    assert long_sentences(found) == []
    assert mean_length(found) <= AVERAGE_WORDS
    assert mean_length(texts()) <= AVERAGE_WORDS


@pytest.mark.parametrize(
    "text",
    [
        "1 warnings",
        "1 deactivated users",
        "2 row was rejected",
        "0 users are as before.",
        "11 company",
        "of 1,001 user",
    ],
)
def test_wrong_plurals_and_zeros_are_found(text: str) -> None:
    assert faults_of(text)


@pytest.mark.parametrize(
    "text", ["1 warning", "2 users", "1 row rejected", "11 rows", "1 to 2 users", "line 1: rows"]
)
def test_right_plurals_are_accepted(text: str) -> None:
    assert faults_of(text) == []
