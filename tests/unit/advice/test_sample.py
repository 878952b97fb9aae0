"""The header of a file is found, and the lines below its last row."""

from __future__ import annotations

from typing import Any

import pytest

from importer.advice.proposal import propose
from importer.rules.settings import ImportSettings

OURS = "first_name,last_name,email\nAnn,Lee,ann@a.test\n"


def changes(text: str, **settings: Any) -> dict[str, Any]:
    return propose(text.encode(), ImportSettings(**settings)).changes


@pytest.mark.parametrize(
    ("above", "left_out"),
    [("Staff list\n", 1), ("Staff list\n\n", 2), ("sep=,\nStaff list\n", 2), ("a,b\n" * 10, 10)],
)
def test_lines_above_the_header_are_left_out(above: str, left_out: int) -> None:
    assert changes(above + OURS) == {"skip_first_lines": left_out}


@pytest.mark.parametrize("above", ["\n\n", "sep=,\n", "sep=,\n\n"])
def test_lines_that_an_import_skips_by_itself_need_no_setting(above: str) -> None:
    assert changes(above + OURS) == {}


def test_a_header_too_far_below_is_not_looked_for() -> None:
    assert changes("a,b\n" * 11 + OURS) == {}


def test_a_setting_that_leaves_out_the_header_is_corrected() -> None:
    assert changes(OURS, skip_first_lines=1) == {"skip_first_lines": 0}
    assert changes("Staff list\n" + OURS, skip_first_lines=1) == {}


@pytest.mark.parametrize(
    ("below", "left_out"), [("Total,1,\n", 1), ("Total,1,\nEOF,,\n", 2), ("Total,1,\n\nEOF,,\n\n", 3), ("\n\n", 0)]
)
def test_totals_and_end_marks_are_left_out(below: str, left_out: int) -> None:
    assert changes(OURS + below) == ({"skip_last_lines": left_out} if left_out else {})


def test_no_last_line_is_left_out_of_a_correction_file() -> None:
    text = "_line,_code,_message,first_name,last_name,email\n2,x,y,Ann,Lee,ann@a.test\n,,,Total,1,\n"
    assert changes(text) == {}
