"""Lines before the header and after the last row: `sep=`, end marks, lines that are left out."""

from __future__ import annotations

from typing import Any

import pytest

from importer.errors import FileError
from importer.file.reader import CsvReader
from importer.model import Severity

HEADER = "first_name,last_name,email\n"
ROW = "Ann,Lee,ann@lee.test\n"


def read(text: str | bytes, left_out: list[int] | None = None, **how: Any) -> tuple[CsvReader, list[int]]:
    """Return the reader, and the lines of its rows."""
    data = text.encode() if isinstance(text, str) else text
    results = []
    for chunks in ([data], [data[at : at + 1] for at in range(len(data))]):
        reader = CsvReader(chunks, **how)
        seen: list[int] = []
        lines = [line for batch in reader.batches(lambda line, _, to=seen: to.append(line)) for line in batch.lines]
        results.append((reader, lines, seen))
    (whole, lines, seen), (cut, lines_cut, seen_cut) = results
    assert (lines, seen, whole.problems) == (lines_cut, seen_cut, cut.problems)
    assert (whole.ends_with_newline, whole.last_row_unfinished) == (cut.ends_with_newline, cut.last_row_unfinished)
    if left_out is not None:
        left_out += seen
    return whole, lines


def failure(text: str | bytes, **how: Any) -> FileError:
    with pytest.raises(FileError) as caught:
        read(text, **how)
    return caught.value


def codes(reader: CsvReader) -> list[str]:
    return [problem.code for problem in reader.problems]


# sep=


@pytest.mark.parametrize("first", ["sep=,", '"sep=,"', "SEP=,", "Sep = ,", "sep=,,,", "\ufeffsep=,", "sep=,\r"])
def test_a_sep_line_that_names_the_delimiter_is_skipped_with_a_notice(first: str) -> None:
    reader, lines = read(f"{first}\n{HEADER}{ROW}")
    assert (lines, codes(reader)) == ([3], ["sep_line"])
    assert reader.problems[0].severity is Severity.NOTICE


@pytest.mark.parametrize("first", ["sep=\t", "sep=\\t", '"sep=\t"'])
def test_a_sep_line_may_name_a_tab(first: str) -> None:
    text = f"{first}\n{HEADER}{ROW}".replace(",", "\t")
    assert codes(read(text, delimiter="\t")[0]) == ["sep_line"]


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;", "sep=\\t", "sep=|", "sep=^"])
@pytest.mark.parametrize("skip", [0, 1])
def test_a_sep_line_that_names_another_delimiter_fails_naming_itself(first: str, skip: int) -> None:
    error = failure(f"{first}\n{HEADER}{ROW}", skip_first=skip)
    assert (error.code, error.line) == ("wrong_delimiter", 1)
    assert "sep" in error.message.lower()
    assert "line" in error.message


def test_a_column_whose_name_begins_with_sep_is_not_a_sep_line() -> None:
    assert failure("separator\nx\n").code == "missing_column"


# End marks


@pytest.mark.parametrize("end", ["\x1a", "\x1a\r\n", "\x1a\n", "\x1a\x1a\x1a", "\x1a\n\x1a\n\n", "\x1a" * 600])
def test_an_end_mark_after_the_last_line_end_is_skipped_with_a_notice(end: str) -> None:
    reader, lines = read(HEADER + ROW + end)
    assert (lines, codes(reader), reader.ends_with_newline) == ([2], ["end_mark"], True)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\x1a", "\x1a\r\n"])
def test_an_end_mark_is_skipped_in_every_encoding(encoding: str, end: str) -> None:
    reader, lines = read((HEADER + ROW + end).encode(encoding))
    assert (lines, codes(reader), reader.ends_with_newline) == ([2], ["end_mark"], True)


def test_an_end_mark_of_one_byte_after_utf_16_is_skipped() -> None:
    reader, lines = read((HEADER + ROW).encode("utf-16") + b"\x1a")
    assert (lines, codes(reader), reader.ends_with_newline) == ([2], ["end_mark"], True)


def test_an_end_mark_right_after_the_last_cell_leaves_the_row_unfinished() -> None:
    reader, lines = read(HEADER + ROW.strip() + "\x1a")
    assert (lines, codes(reader)) == ([2], ["end_mark"])
    assert (reader.ends_with_newline, reader.last_row_unfinished) == (False, True)
    assert reader.cells(2, ROW.strip())[2] == "ann@lee.test"


def test_an_end_mark_within_a_last_cell_that_has_a_line_end_stays() -> None:
    reader, lines = read(HEADER + ROW.strip() + "\x1a\n")
    assert (lines, codes(reader), reader.ends_with_newline) == ([2], [], True)


def test_a_file_of_an_end_mark_alone_is_empty() -> None:
    assert failure("\x1a").code == "empty_file"
    assert failure(HEADER + "\x1a").code == "no_rows"


# Lines that are left out


def test_first_lines_are_left_out_as_records_and_blank_lines_count() -> None:
    titles = 'User list "March"\n"of\nall",,\n\n'
    assert read(titles + HEADER + ROW, skip_first=3)[1] == [6]
    assert read(titles + HEADER + ROW, skip_first=2)[1] == [6]


def test_last_lines_are_left_out_and_shown_to_the_check() -> None:
    left_out: list[int] = []
    reader, lines = read(HEADER + ROW * 3 + "Total,3,\nEnd,,\n", left_out, skip_last=2, batch_rows=2)
    assert (lines, left_out, reader.rows) == ([2, 3, 4], [5, 6], 3)


@pytest.mark.parametrize("skip", [1, 2])
def test_blank_lines_above_a_last_line_count_and_those_at_the_end_do_not(skip: int) -> None:
    left_out: list[int] = []
    read(HEADER + ROW * 3 + "\nTotal,3,\n\n\n", left_out, skip_last=skip)
    assert left_out == [6]


def test_the_end_of_the_file_is_judged_without_the_last_lines_left_out() -> None:
    reader, lines = read(HEADER + ROW + "3 users", skip_last=1)
    assert (lines, reader.ends_with_newline, reader.last_row_unfinished) == ([2], True, False)


def test_a_file_of_last_lines_only_has_no_rows() -> None:
    assert failure(HEADER + "Total,0,\n", skip_last=1).code == "no_rows"


def test_no_line_of_a_correction_file_is_left_out() -> None:
    text = "_line,_code,_message," + HEADER + "2,x,y," + ROW
    assert read(text, skip_first=2, skip_last=3)[1] == [2]


def test_a_line_of_spaces_without_a_line_end_is_not_cut_off() -> None:
    assert read(HEADER + ROW + "   ")[1] == [2]


@pytest.mark.parametrize("footer", ["EOF", "Total,1", "1 row", "Rows: 1", "TRAILER|1", "Gesamt: 1", "---"])
def test_a_footer_without_a_line_end_is_a_row_and_nothing_is_cut_off(footer: str) -> None:
    assert read(HEADER + ROW + footer)[1] == [2, 3]


@pytest.mark.parametrize("cut", ["Sum", "End", "Fin", "Summe", "T", "Tot", "Bo,N", "Bo", "Bo,Ng", "Suma Das"])
def test_the_beginning_of_a_users_row_counts_as_cut_off(cut: str) -> None:
    assert failure(HEADER + ROW + cut).code == "last_row_cut_off"
