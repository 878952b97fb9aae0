"""The grammar of one record, compared with a simple parser that reads character by character."""

from __future__ import annotations

import csv
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from importer.file.records import is_sound, quote_fault
from tests.support import ROOT


def read_plainly(raw: str, delimiter: str) -> list[str] | None:
    """Return the cells of one record by RFC 4180, section 2; None if its quotes or line ends break a rule."""
    cells, at = [], 0
    while True:
        cell = ""
        if raw[at : at + 1] == '"':
            at += 1
            while raw[at : at + 1] != '"' or raw[at : at + 2] == '""':
                if at >= len(raw):
                    return None
                cell += raw[at]
                at += 2 if raw[at] == '"' else 1
            at += 1
        else:
            while at < len(raw) and raw[at] != delimiter:
                if raw[at] in '"\r\n':
                    return None
                cell += raw[at]
                at += 1
        cells.append(cell)
        if at == len(raw):
            return cells
        if raw[at] != delimiter:
            return None
        at += 1


PIECES = st.lists(st.sampled_from(['"', '""', ",", ";", "a", "\n", "\r", " ", '","', '"a"']), max_size=14)


@settings(max_examples=600)
@given(PIECES.map("".join), st.sampled_from(",;"))
@example('"a""b', ",")
@example('"a"""', ",")
@example('"a"",b', ",")
@example('"",""""', ",")
@example('"a",b"c', ",")
@example('a,"b""","c', ",")
def test_a_record_is_sound_exactly_if_a_simple_parser_reads_it(raw: str, delimiter: str) -> None:
    cells = read_plainly(raw, delimiter)
    assert is_sound(raw, delimiter) == (cells is not None)
    if cells is not None:
        assert (next(csv.reader([raw], delimiter=delimiter)) or [""]) == cells


@settings(max_examples=600)
@given(PIECES.map("".join).map(lambda raw: raw.replace("\n", "")), st.sampled_from(",;"))
@example('"a""b', ",")
@example('x,"a"""', ",")
def test_a_record_that_a_simple_parser_refuses_has_a_fault_to_report(raw: str, delimiter: str) -> None:
    assert (quote_fault(1, raw, delimiter) is None) == (read_plainly(raw, delimiter) is not None)


@pytest.mark.parametrize("end", ["", '"', "x", "\r"])
def test_a_record_full_of_quotes_is_read_like_any_other(end: str) -> None:
    for raw in ('""' * 300_000 + end, '"a",' * 200_000 + '"b"' + end, '"' + '""' * 300_000 + end):
        assert is_sound(raw, ",") == (read_plainly(raw, ",") is not None)


def test_no_pattern_repeats_a_group_possessively() -> None:
    """Python before 3.11.5, as Debian 12 has it, matches such a pattern wrongly (CPython gh-106052)."""
    repeated = re.compile(r"\)(?:[*+?]|\{[0-9,]*\})\+")
    for package in ("engine", "ground", "headcount", "importer", "keys", "server"):
        for file in (ROOT / package).rglob("*.py"):
            code = "\n".join(line.partition("#")[0] for line in file.read_text(encoding="utf-8").splitlines())
            assert not repeated.search(code), file
