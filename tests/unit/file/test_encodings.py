"""Every encoding that a setting can name is read; a byte order mark overrides it; other bytes fail with a place."""

from __future__ import annotations

import codecs
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from importer.errors import FileError
from importer.file.decoding import DecodedText
from importer.file.reader import CsvReader
from importer.rules.settings import ImportSettings

TEXTS = {
    "cp1252": "Zoë €\n",
    "latin-1": "Zoë\n",
    "cp1251": "Анна\n",
    "cp437": "Zoë\n",
    "mac_roman": "Zoë\n",
    "shift_jis": "山田太郎\n",
    "iso2022_jp": "a山田b太郎c\n",
    "gb18030": "王芳 €\n",
    "big5": "王芳\n",
    "euc_kr": "김철수\n",
    "hz": "王芳\n",
    "utf-8-sig": "Zoë\n",
    "utf-16": "Zoë\n",
    "utf-16-le": "Zoë\n",
    "utf-16-be": "Zoë\n",
    "utf-32": "Zoë\n",
    "utf-32-be": "Zoë\n",
}


def decoded(content: bytes, encoding: str, size: int = 1000) -> str:
    ImportSettings(encoding=encoding)  # the setting accepts it
    return "".join(DecodedText([content[at : at + size] for at in range(0, len(content), size)], encoding))


@pytest.mark.parametrize("encoding", TEXTS)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_text_in_the_encoding_of_the_setting_is_read_however_it_is_cut(encoding: str, size: int) -> None:
    text = TEXTS[encoding] * 3
    assert decoded(text.encode(encoding), encoding, size) == text


@pytest.mark.parametrize("encoding", ["cp1252", "shift_jis", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE])
def test_a_byte_order_mark_overrides_the_setting(encoding: str, mark: bytes) -> None:
    inner = "utf-8" if mark == codecs.BOM_UTF8 else "utf-16-le"
    assert decoded(mark + "Zoë\n".encode(inner), encoding) == "Zoë\n"


@pytest.mark.parametrize(
    ("encoding", "content", "line", "offset"),
    [
        ("cp1252", b"Ann\nBo\x81\n", 2, 6),
        ("ascii", "Ann\nZoë\n".encode(), 2, 6),
        ("shift_jis", b"a\n\x81", 2, 2),
        ("iso2022_jp", b"a\n\x1b$B;3\x1b(Bb\xff\n", 2, 11),
        ("utf-16-le", "a\nb".encode("utf-16-le") + b"\x00", 2, 6),
    ],
)
@pytest.mark.parametrize("size", [1, 4, 1000])
def test_bytes_not_in_the_encoding_fail_with_line_and_offset(
    encoding: str, content: bytes, line: int, offset: int, size: int
) -> None:
    with pytest.raises(FileError) as caught:
        decoded(content, encoding, size)
    assert (caught.value.code, caught.value.line) == ("wrong_encoding", line)
    assert f"byte offset {offset})" in caught.value.message


@given(st.sampled_from(sorted(TEXTS)), st.binary(max_size=60), st.integers(1, 5))
@example("utf-16", b"ab", 1)
@example("utf-16", b"\x00\x00\x00\xdc", 1)
def test_any_bytes_are_read_or_refused(encoding: str, content: bytes, size: int) -> None:
    with suppress(FileError):
        decoded(content, encoding, size)


@pytest.mark.parametrize(
    ("encoding", "content", "warned"),
    [
        ("cp1252", "Zoë".encode(), True),
        ("cp1252", "Zoë".encode("cp1252"), False),
        ("cp1252", b"Zoe", False),
        ("cp1252", codecs.BOM_UTF8 + "Zoë".encode(), False),
        ("utf-8", "Zoë".encode(), False),
        ("shift_jis", "山田".encode("shift_jis"), False),
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_a_file_that_looks_like_utf_8_gets_a_warning(encoding: str, content: bytes, warned: bool, size: int) -> None:
    file = content.join([b"first_name,last_name,email\n", b",Lee,zoe@lee.test\n"])
    if content.startswith(codecs.BOM_UTF8):
        file = codecs.BOM_UTF8 + file.replace(codecs.BOM_UTF8, b"")
    chunks = [file[at : at + size] for at in range(0, len(file), size)]
    reader = CsvReader(chunks, **ImportSettings(encoding=encoding).form)
    assert sum(len(batch.raws) for batch in reader.batches()) == 1
    assert [problem.code for problem in reader.problems] == (["perhaps_utf_8"] if warned else [])
