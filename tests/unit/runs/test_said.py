"""The standard output of a program becomes the report of its run."""

from __future__ import annotations

import json

import pytest

from headcount.hooks import Message, Result
from server.runs.outside.said import MAX_CHARACTERS, Said, first_line, said


def test_a_json_object_is_the_report() -> None:
    output = {
        "message": "3 invoices stored.",
        "counts": {"stored": 3},
        "messages": [{"severity": "warning", "message": "The amount is 0.", "line": 4, "column": "amount"}],
    }
    found = said(json.dumps(output).encode())
    assert found == Said(
        Result(
            "3 invoices stored.",
            {"stored": 3},
            (Message("warning", "The amount is 0.", line=4, column="amount"),),
        ),
        whole=True,
    )


def test_one_line_is_the_message() -> None:
    assert said(b"\n3 invoices stored\n") == Said(Result("3 invoices stored"), whole=True)


def test_of_several_lines_the_first_is_the_message() -> None:
    assert said(b"3 invoices stored\n1 skipped\n") == Said(Result("3 invoices stored"), whole=False)


@pytest.mark.parametrize("output", [b"", b"\n \n"])
def test_a_program_may_print_nothing(output: bytes) -> None:
    assert said(output) == Said(Result(), whole=True)


@pytest.mark.parametrize(
    "output",
    [
        "{}",
        "[1]",
        "3",
        '{"message": 3}',
        '{"message": "a", "rows": 3}',
        '{"counts": {"stored": "many"}}',
        '{"messages": [{"severity": "fatal", "message": "a"}]}',
        '{"messages": [{"severity": "error"}]}',
        '{"messages": [{"severity": "error", "message": "a", "row": 3}]}',
        '{"messages": [3]}',
        '{"messages": {"severity": "error"}}',
        '{"counts": {"stored": true}}',
        '{"counts": {"stored": 9223372036854775808}}',
        '{"counts": {"stored": NaN}}',
        '{"counts": [1]}',
        '{"message": "cut sho',
        "[" * 100_000,
    ],
)
def test_other_output_is_text(output: str) -> None:
    text = output if len(output) <= MAX_CHARACTERS else output[: MAX_CHARACTERS - 1] + "…"
    assert said(output.encode()).result == Result(text)


def test_characters_that_cannot_be_shown_are_replaced() -> None:
    assert said(b"\x1b[31mred\xff").result.message == "\ufffd[31mred\ufffd"
    assert said(rb'{"message": "two\nlines\ud800"}').result.message == "two lines\ufffd"


def test_a_long_text_is_cut_and_not_whole() -> None:
    found = said(b"x" * (MAX_CHARACTERS + 1))
    assert found.result.message == "x" * (MAX_CHARACTERS - 1) + "…"
    assert not found.whole


def test_the_first_line_of_a_complaint_is_the_first_that_is_not_blank() -> None:
    assert first_line(b"\n  no such table\nat line 3\n") == "no such table"
    assert first_line(b" \n") is None
