"""Promises about the structure of a file: records, line numbers, limits, and what fails it."""

from __future__ import annotations

import pytest

from importer.csvfile import CsvReader
from importer.errors import FileError

HEADER = b"first_name,last_name,email\n"


def records(data: bytes, chunk: int = 0) -> list[tuple[int, list[str]]]:
    chunks = [data[at : at + chunk] for at in range(0, len(data), chunk)] if chunk else [data]
    reader = CsvReader(chunks)
    return [
        (line, reader.cells(line, raw))
        for batch in reader.batches()
        for line, raw in zip(batch.lines, batch.raws, strict=True)
    ]


def test_a_record_keeps_the_line_it_begins_on() -> None:
    data = HEADER + b'Ann,"O\nB",a@b.cd\r\n\r\nBo,C,b@b.cd\n'
    assert records(data) == [(2, ["Ann", "O\nB", "a@b.cd"]), (5, ["Bo", "C", "b@b.cd"])]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_file"),
        (b" \n\n", "blank_file"),
        (HEADER, "no_rows"),
        (HEADER + b'a,"b,c@d.ef\n', "unterminated_quote"),
        (HEADER + b"a,b\n", None),
        (HEADER + b"a,b", "last_row_cut_off"),
    ],
)
def test_a_broken_file_fails_with_its_code(data: bytes, code: str | None) -> None:
    if code is None:
        assert records(data)
        return
    with pytest.raises(FileError) as caught:
        records(data)
    assert caught.value.code == code
