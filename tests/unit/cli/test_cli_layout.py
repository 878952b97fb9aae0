"""A table on a terminal: values that are copied are never cut or wrapped, and texts are wrapped between words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from server.cli.layout import table

KEY = "SHA256:NKrRlR5Pawupd6tr+M1nuYbEKxfcC9LK76OCDPM6g4E"
WHY = "The file was rejected because its header has no column email"
CELLS = st.text(alphabet="ab 北é-", max_size=70)


def test_columns_that_fit_are_beside_each_other() -> None:
    assert list(table([["acme", "1"], ["globex", "12"]], ["NAME", "KEYS"], 60)) == [
        "NAME    KEYS",
        "acme    1",
        "globex  12",
    ]


def test_a_text_is_wrapped_between_words_beside_a_value_that_is_not() -> None:
    assert list(table([["7", "failed", WHY]], ["ID", "STATE", "RESULT"], 40, wrapped=[2])) == [
        "ID  STATE   RESULT",
        "7   failed  The file was rejected",
        "            because its header has no",
        "            column email",
    ]


def test_a_row_that_does_not_fit_is_a_block_of_whole_values() -> None:
    rows = [[KEY, "hr", WHY], [KEY[::-1], "it", "-"]]
    assert list(table(rows, ["FINGERPRINT", "COMMENT", "RESULT"], 60, wrapped=[2])) == [
        f"FINGERPRINT  {KEY}",
        "COMMENT      hr",
        f"RESULT       {WHY}",
        "",
        f"FINGERPRINT  {KEY[::-1]}",
        "COMMENT      it",
        "RESULT       -",
    ]


def test_a_word_that_is_wider_than_its_column_is_not_cut_but_makes_blocks() -> None:
    text = "a " + "b" * 30 + " c"
    assert list(table([["1", text]], ["ID", "RESULT"], 34, wrapped=[1]))[1:] == ["1   a", f"    {'b' * 30}", "    c"]
    assert list(table([["1", text]], ["ID", "RESULT"], 33, wrapped=[1])) == ["ID      1", f"RESULT  {text}"]


@pytest.mark.parametrize(
    "command", ["headcount tenant remove acme --yes", "sudo -u hc headcount doctor", "headcount check acme users.csv"]
)
def test_a_command_in_a_text_is_on_one_line(command: str) -> None:
    text = f"the folder is missing; restore it from a backup, or: {command}; then try again. See the log"
    lines = list(table([["acme", text]], ["NAME", "BROKEN"], 60, wrapped=[1]))
    assert sum(command in line for line in lines) == 1
    assert max(map(len, lines)) <= 60
    assert " ".join(line[6:].strip() for line in lines[1:]) == text


def test_letters_of_double_width_keep_the_columns_in_line() -> None:
    assert list(table([["北京", "1"], ["Rome", "2"]], ["CITY", "ID"], 60)) == ["CITY  ID", "北京  1", "Rome  2"]


@pytest.mark.parametrize("width", [60, 80, 120])
@given(rows=st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=4))
def test_at_any_width_every_value_is_whole_and_no_laid_out_line_is_longer(
    width: int, rows: list[tuple[str, str, str]]
) -> None:
    lines = list(table(rows, ["NAME", "ID", "RESULT"], width, wrapped=[2]))
    text = "\n".join(lines)
    for name, number, _ in rows:
        assert name.rstrip() in text
        assert number.rstrip() in text
    is_a_table = lines[0].split() == ["NAME", "ID", "RESULT"]
    assert not is_a_table or max(map(cell_len, lines)) <= width


def test_paint_does_not_move_the_columns() -> None:
    lines = table([["held", "1"]], ["STATE", "ID"], 60, paint=lambda text: f"<{text}>", bold=str.lower)
    assert list(lines) == ["state  id", "<held>   <1>"]
