"""Counts in the output of commands have the right plural, and a zero is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from importer.model import Counts, FileFacts, Guard, GuardReason, ImportState
from importer.report import Report
from server.cli.report_view import print_report, summary

MOMENT = "2026-01-01T08:00:00.000Z"


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({}, "nothing"),
        ({"created": 0, "warnings": 0}, "nothing"),
        ({"created": 1, "updated": 0, "warnings": 1}, "1 created, 1 warning"),
        ({"created": 1200, "warnings": 2}, "1,200 created, 2 warnings"),
        (
            {"teams_created": 1, "locations_created": 1, "invitations": 1},
            "1 team created, 1 location created, 1 invitation",
        ),
        (
            {"teams_created": 2, "locations_created": 3, "invitations": 4},
            "2 teams created, 3 locations created, 4 invitations",
        ),
        ({"deactivated": 3, "deactivated_absent": 1}, "3 deactivated, 1 of them absent"),
    ],
)
def test_the_summary_of_an_import_has_the_right_plurals_and_no_zeros(counts: dict[str, int], text: str) -> None:
    assert summary(counts) == text


def test_the_summary_names_every_count_of_a_report() -> None:
    counts = dict.fromkeys(Counts().to_json(), 1)
    assert "_" not in summary(counts)


@pytest.mark.parametrize(
    ("active", "deactivated", "sentence"),
    [
        (0, 0, "It would deactivate 0 of 0 active users."),
        (1, 1, "It would deactivate 1 of 1 active user (the limit is 10%)."),
        (2000, 300, "It would deactivate 300 of 2,000 active users (the limit is 10%)."),
    ],
)
def test_a_held_import_counts_its_active_users_in_the_right_plural(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, active: int, deactivated: int, sentence: str
) -> None:
    guard = Guard((GuardReason.TOO_MANY_DEACTIVATIONS,), 10, active, deactivated)
    report = Report(
        id=1,
        tenant="acme",
        state=ImportState.HELD,
        dry_run=False,
        file=FileFacts("sync_users.csv", 1, None, 1),
        uploaded_at=MOMENT,
        guard=guard,
    )
    print_report(report, tmp_path / "touched.jsonl")
    told = capsys.readouterr().out
    assert f"{sentence}\n" in told
    assert "sync_users.csv, 1 byte, 1 row\n" in told
