"""Files whose header is not where it should be, and all faults of a file reported at once."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from importer.errors import MAX_FAULTS, FileError
from importer.file.reader import CsvReader

HEADER = "first_name,last_name,email\n"
ROW = "Ann,Lee,ann@lee.test\n"


def failure(text: str, **how: Any) -> FileError:
    """Return the fault of `text`, which is the same however it is cut into chunks."""
    found = []
    for size in (1, 7, len(text) + 1):
        data = text.encode()
        with pytest.raises(FileError) as caught:
            for _ in CsvReader([data[at : at + size] for at in range(0, len(data), size)], **how).batches():
                pass
        found.append(caught.value)
    assert len({repr([(each.line, each.message) for each in (error, *error.further)]) for error in found}) == 1
    return found[0]


def lines(error: FileError) -> list[tuple[str, int | None]]:
    return [(each.code, each.line) for each in (error, *error.further)]


# Line 1 is not a header


@pytest.mark.parametrize(
    ("titles", "before"),
    [
        ("User list\n", 1),
        ("User list,,\nMarch 2026,,\n", 2),
        ('"User\nlist"\n\nPrinted by,HR\n', 3),
        ("sep=,\nUser list\n", 2),
    ],
)
def test_a_header_below_titles_is_named_with_the_setting_that_fits(titles: str, before: int) -> None:
    error = failure(titles + HEADER + ROW)
    where = titles.count("\n") + 1
    assert error.code == "missing_column"
    assert f"The header is on line {where}, not on line " in error.message
    assert f"Delete the lines above line {where}," in error.message
    assert f"set skip_first_lines to {before}." in error.message
    reader = CsvReader([(titles + HEADER + ROW).encode()], skip_first=before)
    assert next(reader.batches()).lines == [where + 1]


def test_the_first_line_is_quoted_up_to_sixty_characters() -> None:
    assert f"“{'x' * 59}…”" in failure("x" * 300 + "\n" + HEADER + ROW).message


def test_a_header_with_another_delimiter_below_titles_gets_both_hints() -> None:
    error = failure("User list\n" + (HEADER + ROW).replace(",", ";"))
    assert (error.code, error.line) == ("wrong_delimiter", 2)
    assert "line 1 (“User list”)" in error.message


def test_a_header_among_the_lines_that_are_left_out_is_named() -> None:
    error = failure(HEADER + ROW, skip_first=1)
    assert error.code == "missing_column"
    assert "The header is on line 1, but skip_first_lines leaves out the first line." in error.message


def test_a_user_on_line_1_means_that_the_header_is_missing() -> None:
    error = failure(ROW + "Bo,Ng,bo@ng.test\n")
    assert (error.code, error.line) == ("missing_column", 1)
    assert "“Ann,Lee,ann@lee.test”, looks like the row of a user: the file has no header." in error.message


@pytest.mark.parametrize("inside", [",", ";"])
def test_whole_lines_in_quotes_are_named(inside: str) -> None:
    quoted = "".join(f'"{line}"\n'.replace(",", inside) for line in (HEADER + ROW).splitlines())
    error = failure(quoted)
    assert (error.code, error.line) == ("lines_in_quotes", 1)
    assert "the whole line is in quotes" in error.message


@pytest.mark.parametrize(("opening", "closing"), [("'", "'"), ("“", "”"), ("«", "»"), ("`", "`")])
def test_quotes_of_another_kind_are_named(opening: str, closing: str) -> None:
    cells = ",".join(f"{opening}{name}{closing}" for name in HEADER.strip().split(","))
    error = failure(cells + "\n" + ROW)
    assert (error.code, error.line) == ("other_quotes", 1)
    assert ("single quotes" if opening == "'" else opening) in error.message


# All faults at once


def test_all_faults_of_a_file_are_reported_at_once() -> None:
    text = HEADER + 'Ann "A",Lee,a@b.cd\n' + ROW + '"Bo"x,Ng,b@b.cd\n' + "C\rc,D,c@b.cd\n" + ROW + "a\0,b,c\n" + "d,e"
    assert lines(failure(text)) == [
        ("misplaced_quote", 2),
        ("misplaced_quote", 4),
        ("lone_carriage_return", 5),
        ("nul_character", 7),
        ("last_row_cut_off", 8),
    ]


def test_no_fault_is_reported_after_a_quote_that_is_never_closed() -> None:
    assert lines(failure(HEADER + 'A "a",b,c\n"d,e,f\na "b",c,d\n'))[:1] == [("misplaced_quote", 2)]
    assert lines(failure(HEADER + 'A "a",b,c\n"d,e,f\ng,h,i\n')) == [
        ("misplaced_quote", 2),
        ("unterminated_quote", 3),
    ]


def test_a_stray_quote_hides_no_line_after_it() -> None:
    text = HEADER + 'Ann,5" disk,a@b.cd\n' + ROW + 'Bo,6" disk,b@b.cd\n' + 'Cy,"a ""b""",c@b.cd\n'
    assert lines(failure(text)) == [("misplaced_quote", 2), ("misplaced_quote", 4)]


def test_a_cell_of_several_lines_with_text_after_it_is_one_fault() -> None:
    assert lines(failure(HEADER + '"Ann\nMarie"x,Lee,a@b.cd\n' + ROW)) == [("misplaced_quote", 2)]


def test_faults_of_the_header_and_of_the_rows_are_reported_together() -> None:
    text = "first_name,first_name,email,note,note\n" + 'a "b",c,d,e,f\n'
    assert lines(failure(text)) == [("duplicate_column", 1), ("missing_column", 1), ("misplaced_quote", 2)]


def test_at_most_20_faults_are_reported_and_memory_stays_flat() -> None:
    def endless() -> Iterator[bytes]:
        yield HEADER.encode()
        for _ in range(200):
            yield b'a "b",c,d\n' + b"d,e,f\n" * 2000

    tracemalloc.start()
    try:
        with pytest.raises(FileError) as caught:
            list(CsvReader(endless()).batches())
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert len(lines(caught.value)) == MAX_FAULTS


def test_an_unknown_column_twice_is_one_warning_and_no_failure() -> None:
    reader = CsvReader([b"first_name,last_name,email,Note,note\n"])
    assert [problem.code for problem in reader.problems] == ["unknown_column"]
    assert "2 times" in reader.problems[0].message
