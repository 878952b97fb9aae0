"""The structure of a file: encodings, records, line numbers, limits and faults."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from importer.errors import FileError
from importer.file.formulas import escape_formula, unescape_formula
from importer.file.header import MAX_COLUMNS
from importer.file.reader import BATCH_BYTES, MAX_CELL, CsvReader
from importer.file.records import MAX_ROW
from importer.model import Severity

HEADER = "first_name,last_name,email\n"


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut `data` into chunks that end at `places`."""
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


def everything(chunks: Iterable[bytes], **how: Any) -> object:
    """Return everything that a reader reports about a file, its failure included."""
    try:
        reader = CsvReader(chunks, **how)
        found = [
            (line, tuple(reader.cells(line, raw)))
            for batch in reader.batches()
            for line, raw in zip(batch.lines, batch.raws, strict=True)
        ]
    except FileError as error:
        return error.code, error.line, error.message
    ends = reader.ends_with_newline, reader.last_row_unfinished
    return reader.header, found, reader.problems, ends, reader.rows, reader.bytes_read


def read(text: str | bytes, **how: Any) -> CsvReader:
    reader = CsvReader([text.encode() if isinstance(text, str) else text], **how)
    reader.found = list(rows_of(reader))  # type: ignore[attr-defined]
    return reader


def rows_of(reader: CsvReader) -> Iterator[tuple[int, list[str]]]:
    for batch in reader.batches():
        for line, raw in zip(batch.lines, batch.raws, strict=True):
            yield line, reader.cells(line, raw)


def rows(text: str | bytes, **how: Any) -> list[tuple[int, list[str]]]:
    return list(rows_of(CsvReader([text.encode() if isinstance(text, str) else text], **how)))


def failure(text: str | bytes, **how: Any) -> FileError:
    with pytest.raises(FileError) as caught:
        rows(text, **how)
    return caught.value


# Chunks


# fmt: off
PIECES = st.sampled_from([
    "\n", "\r\n", "\r", '"', '""', '"a,b"', '"x\ny"', ",", ",", ",", "a", "ä", "😀", "\0", " ",
    "a,b,c\n", "ann,lee,ann@lee.test\n", '"o\r\np",b,c\r\n', ",,\n",
])
# fmt: on
TEXTS = st.lists(PIECES, max_size=25).map("".join).map(HEADER.__add__) | st.lists(PIECES, max_size=8).map("".join)
DATA = (
    st.tuples(TEXTS, st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])).map(lambda made: made[0].encode(made[1]))
    | st.tuples(TEXTS, st.binary(max_size=4), TEXTS).map(lambda made: made[0].encode() + made[1] + made[2].encode())
)  # fmt: skip


@settings(deadline=None)
@given(DATA, st.lists(st.integers(0, 10_000), max_size=12))
@example("first_name,last_name,email\r\nÄ,b,c\r\n".encode(), list(range(40)))
@example("first_name,last_name,email\r\nÄ,b,c\r\n".encode("utf-16"), list(range(90)))
def test_where_a_file_is_cut_into_chunks_changes_nothing(data: bytes, places: list[int]) -> None:
    whole = everything([data])
    assert everything(cut(data, places)) == whole
    assert everything(cut(data, range(len(data)))) == whole


CELLS = st.text(st.sampled_from('ab ä",\n\r\t;'), min_size=0, max_size=6)


@settings(deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS, CELLS.map("x".__add__)), min_size=1, max_size=8), st.sampled_from(",;\t|"))
def test_what_csv_writers_write_is_read_back(table: list[tuple[str, ...]], delimiter: str) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL)
    writer.writerows([("first_name", "last_name", "email"), *table])
    assert [tuple(cells) for _, cells in rows(text.getvalue(), delimiter=delimiter)] == table


@pytest.mark.parametrize("rows_made", [1, 2, 3, 4, 7])
def test_batches_hold_as_many_rows_as_asked_and_every_row_once(rows_made: int) -> None:
    made = [f"a{number},b,c" for number in range(rows_made)]
    reader = CsvReader([(HEADER + "\n".join(made) + "\n").encode()], batch_rows=3)
    sizes, raws = [], []
    for batch in reader.batches():
        sizes.append(len(batch.raws))
        raws += batch.raws
        assert reader.rows == len(raws)
    assert raws == made
    assert all(size == 3 for size in sizes[:-1])


def test_batches_of_long_rows_are_short_so_that_memory_stays_flat() -> None:
    row = "a" * 60_000 + ",b,c\n"
    reader = CsvReader([HEADER.encode(), *[row.encode()] * 200], batch_rows=5000)
    sizes = [sum(map(len, batch.raws)) for batch in reader.batches()]
    assert reader.rows == 200
    assert max(sizes) < BATCH_BYTES + 2 * len(row)


# Encodings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_sets_the_encoding_and_is_removed(encoding: str) -> None:
    reader = read((HEADER + "Zoë,中,ü@x.test\n").encode(encoding))
    assert reader.problems == []
    assert reader.found == [(2, ["Zoë", "中", "ü@x.test"])]  # type: ignore[attr-defined]


def test_a_byte_order_mark_overrides_the_setting() -> None:
    assert rows((HEADER + "Zoë,b,c\n").encode("utf-8-sig"), encoding="cp1252") == [(2, ["Zoë", "b", "c"])]


def test_the_setting_names_the_encoding_of_a_file_without_a_mark() -> None:
    assert rows((HEADER + "Zoë,b,c\n").encode("cp1252"), encoding="cp1252") == [(2, ["Zoë", "b", "c"])]


def test_bytes_that_do_not_decode_fail_with_line_offset_and_the_likely_encoding() -> None:
    data = (HEADER + "Ann,b,c\nZoë,b,c\n").encode("cp1252")
    error = failure(data)
    assert (error.code, error.line) == ("wrong_encoding", 3)
    assert f"byte offset {data.index(0xEB)}" in error.message
    assert "Windows-1252" in error.message


def test_text_in_another_script_is_not_read_as_western() -> None:
    assert "Windows-1251" in failure((HEADER + "Дмитрий,b,c\n").encode("cp1251")).message


def test_a_file_cut_inside_a_character_says_that_its_end_is_missing() -> None:
    error = failure((HEADER + "a,b,ü").encode()[:-1])
    assert error.code == "wrong_encoding"
    assert "send the complete file" in error.message.lower()


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32"])
def test_utf_16_without_a_mark_and_utf_32_are_named(encoding: str) -> None:
    error = failure(HEADER.encode(encoding))
    assert error.code == "wrong_encoding"
    assert encoding[:6].upper() in error.message


@pytest.mark.parametrize("start", [b"PK\x03\x04\x14", b"\xd0\xcf\x11\xe0\xa1", b"\x1f\x8b\x08\0", b"%PDF-1.7"])
def test_a_workbook_or_archive_is_named_as_one(start: bytes) -> None:
    assert failure(start + bytes(100)).code == "not_a_csv_file"


# Records and lines


def test_a_record_keeps_the_line_it_begins_on() -> None:
    text = HEADER + 'Ann,"O\nB\r\nC",a@b.cd\r\n\r\nBo,C,b@b.cd\n'
    assert rows(text) == [(2, ["Ann", "O\nB\r\nC", "a@b.cd"]), (6, ["Bo", "C", "b@b.cd"])]


def test_quoted_cells_may_hold_anything() -> None:
    assert rows(HEADER + '"a,b","say ""hi""","\t"\n') == [(2, ["a,b", 'say "hi"', "\t"])]


def test_a_row_with_too_few_or_too_many_cells_is_a_row() -> None:
    assert rows(HEADER + "a,b\na,b,c,d\n") == [(2, ["a", "b"]), (3, ["a", "b", "c", "d"])]


def test_blank_lines_are_skipped_with_one_notice() -> None:
    reader = read("\n" + HEADER + '\n,,\n  ,\u00a0,""\na,b,c\n\r\n\t\n,,,,,,\n')
    assert reader.found == [(6, ["a", "b", "c"])]  # type: ignore[attr-defined]
    assert reader.rows == 1
    notice = reader.problems[-1]
    assert (notice.severity, notice.code, notice.line) == (Severity.NOTICE, "blank_lines", 1)
    assert notice.message.startswith("7 blank lines were skipped (lines 1, 3, 4, 5, 7, …)")


def test_a_cell_that_is_a_quote_is_not_blank() -> None:
    assert rows(HEADER + '"""","",\n') == [(2, ['"', "", ""])]
    assert rows(HEADER + '"","",""\n"""",,\n') == [(3, ['"', "", ""])]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_end_at_the_end_of_a_file_is_recognized(end: str) -> None:
    reader = read(HEADER + "a,b,c" + end)
    assert (reader.ends_with_newline, reader.last_row_unfinished) == (True, False)


def test_a_last_row_without_a_line_end_is_still_a_row() -> None:
    reader = read(HEADER + "a,b,c\nd,e,f")
    assert reader.found[-1] == (3, ["d", "e", "f"])  # type: ignore[attr-defined]
    assert (reader.ends_with_newline, reader.last_row_unfinished) == (False, True)


def test_a_blank_last_line_without_a_line_end_does_not_make_the_last_row_unfinished() -> None:
    reader = read(HEADER + "a,b,c\n,,")
    assert (reader.ends_with_newline, reader.last_row_unfinished) == (False, False)


@pytest.mark.parametrize("last", ["d,e", "d", ",", '"d","e"', "d,e,f\r"])
def test_a_last_line_that_is_not_complete_fails(last: str) -> None:
    error = failure(HEADER + "a,b,c\n" + last)
    assert (error.code, error.line) == ("last_row_cut_off", 3)


def test_cutting_a_file_anywhere_never_gives_a_row_that_was_not_in_it_but_the_last() -> None:
    text = HEADER + 'Ann,"Lee, Jr",a@x.test\r\n,"two\nlines",b@x.test\r\nCy,Ng,c@x.test\r\n'
    whole = rows(text)
    for length in range(len(text)):
        try:
            reader = read(text[:length])
        except FileError:
            continue
        found = reader.found  # type: ignore[attr-defined]
        finished = found[:-1] if reader.last_row_unfinished else found
        assert finished == whole[: len(finished)]


# Faults


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("", "empty_file", 1),
        ("\ufeff", "empty_file", 1),
        (" \n\t\n", "blank_file", 1),
        (" ", "blank_file", 1),
        (HEADER, "no_rows", 1),
        (HEADER.strip(), "no_rows", 1),
        (HEADER + "\n,,\n", "no_rows", 1),
        (HEADER + "a,b,c\n" + "a,b\0,c\n", "nul_character", 3),
        (HEADER + 'a,b,"c\n\0"\n', "nul_character", 3),
        (HEADER + "a,b\r,c\n", "lone_carriage_return", 2),
        (HEADER.replace("\n", "\r") + "a,b,c\r", "lone_carriage_return", 1),
        (HEADER + '"a"\r,b,c\n', "lone_carriage_return", 2),
        (HEADER + 'a,"b\nc,d,e\nf', "unterminated_quote", 2),
        (HEADER + 'a,"b\nc",d\n"e,f\n', "unterminated_quote", 4),
        (HEADER + 'a,"b"x,c\n', "misplaced_quote", 2),
        (HEADER + 'a,"b\nb" ,c\n', "misplaced_quote", 2),
        (HEADER + 'a,5" disk,c\n', "misplaced_quote", 2),
        (HEADER + 'a,5" disk,c\nmany,more,"rows"\n', "misplaced_quote", 2),
        (HEADER + 'a, "b",c\n', "misplaced_quote", 2),
        (HEADER + 'a,b""c,d\n', "misplaced_quote", 2),
    ],
)
def test_a_broken_file_fails_and_says_where(text: str, code: str, line: int) -> None:
    error = failure(text)
    assert (error.code, error.line) == (code, line)


def test_the_first_fault_of_a_file_is_reported() -> None:
    assert failure(HEADER + 'a,b"c,d\na,\0,c\n').code == "misplaced_quote"
    assert failure("first_name,email\na,\0\n").code == "missing_column"
    assert failure((HEADER + "a,\0,c\n").encode() + b"\xff").code == "nul_character"


def test_rows_before_a_fault_are_read_first() -> None:
    reader = CsvReader([(HEADER + "a,b,c\n" * 5 + 'a,"').encode()], batch_rows=2)
    batches = reader.batches()
    assert [next(batches).lines, next(batches).lines] == [[2, 3], [4, 5]]
    with pytest.raises(FileError):
        next(batches)


def test_a_record_that_is_not_parsed_cannot_hide_a_broken_file() -> None:
    reader = CsvReader([(HEADER + 'a,b,c\n"a"b,c,d\n').encode()])
    with pytest.raises(FileError):
        list(reader.batches())


def test_parsing_one_broken_record_fails_as_well() -> None:
    reader = CsvReader([(HEADER + "a,b,c\n").encode()])
    with pytest.raises(FileError, match="line 9"):
        reader.cells(9, 'a,"b')


# Limits


def test_a_cell_may_be_as_long_as_the_limit_and_no_longer() -> None:
    assert len(rows(f"{HEADER}a,b,{'x' * MAX_CELL}\n")) == 1
    assert failure(f"{HEADER}a,b,{'x' * (MAX_CELL + 1)}\n").code == "cell_too_long"
    assert failure(f'{HEADER}a,b,"{"x" * MAX_CELL}\n"\n').code == "cell_too_long"


def test_a_row_may_have_as_many_cells_as_the_limit_and_no_more() -> None:
    assert len(rows(f"{HEADER}{',' * (MAX_COLUMNS - 1)}x\n")[0][1]) == MAX_COLUMNS
    assert failure(f"{HEADER}{',' * MAX_COLUMNS}x\n").code == "too_many_columns"
    assert len(rows(f'{HEADER}"{"," * 300}",b,c\n')[0][1]) == 3


def test_a_header_may_have_as_many_columns_as_the_limit_and_no_more() -> None:
    extra = [f"_{number}" for number in range(MAX_COLUMNS - 3)]
    names = ",".join(["first_name", "last_name", "email", *extra])
    assert len(rows(f"{names}\na\n")) == 1
    assert failure(f"{names},_more\na\n").code == "too_many_columns"


def test_a_row_may_be_as_long_as_the_limit_and_no_longer() -> None:
    cells = ["x" * MAX_CELL] * 15
    longest = ",".join([*cells, "x" * (MAX_ROW - 15 * (MAX_CELL + 1))])
    assert len(longest) == MAX_ROW
    assert len(rows(f"{HEADER}{longest}\r\n")) == 1
    assert failure(f"{HEADER}{longest}x\r\n").code == "row_too_long"


def test_a_quote_never_closed_is_named_even_in_a_huge_file() -> None:
    error = failure(HEADER + 'a,b,"c\n' + "d,e,f\n" * 400_000)
    assert (error.code, error.line) == ("unterminated_quote", 2)


@pytest.mark.parametrize("junk", [b"x", b",", b'"', b'"",', b" ", b"\xc3\xa4"])
def test_a_line_that_never_ends_is_refused_with_flat_memory(junk: bytes) -> None:
    chunk = junk * (64 * 1024 // len(junk))
    pulled = 0

    def endless() -> Iterator[bytes]:
        nonlocal pulled
        yield (HEADER + "a,b,c\n").encode()
        for _ in range(1600):  # 100 MiB
            pulled += len(chunk)
            yield chunk

    tracemalloc.start()
    try:
        with pytest.raises(FileError):
            list(CsvReader(endless()).batches())
        assert tracemalloc.get_traced_memory()[1] < 40 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert pulled < 5 * 1024 * 1024


# Delimiters


@pytest.mark.parametrize(("delimiter", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")])
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_header_with_another_delimiter_fails_and_names_the_delimiter(delimiter: str, name: str, quote: str) -> None:
    header = delimiter.join(f"{quote}{column}{quote}" for column in ("first_name", "last_name", "email"))
    error = failure(f"{header}\na{delimiter}b{delimiter}c\n")
    assert error.code == "wrong_delimiter"
    assert name in error.message


def test_the_rows_never_decide_the_delimiter() -> None:
    assert rows(HEADER + "a;b;c\n") == [(2, ["a;b;c"])]


def test_commas_are_named_if_another_delimiter_is_expected() -> None:
    assert "commas" in failure(HEADER + "a,b,c\n", delimiter=";").message


# Formula cells


@pytest.mark.parametrize(
    ("cell", "means"),
    [
        ("'=1+1", "=1+1"),
        ("''=1", "'=1"),
        ("'''=1", "''=1"),
        ("'+49", "+49"),
        ("'-1", "-1"),
        ("'@x", "@x"),
        ("'tis", "'tis"),
        ("=1", "=1"),
        ("O'=B", "O'=B"),
        ("'", "'"),
        ("", ""),
    ],
)
def test_a_quote_before_a_formula_is_removed_once(cell: str, means: str) -> None:
    assert unescape_formula(cell) == means


@settings(deadline=None)
@given(st.text(st.sampled_from("'=+-@a \t"), max_size=6))
def test_an_escaped_value_is_read_back_and_is_not_a_formula(value: str) -> None:
    escaped = escape_formula(value)
    assert unescape_formula(escaped.strip()) == value.strip()
    assert escaped.lstrip()[:1] not in set("=+-@")
