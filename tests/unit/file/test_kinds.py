"""Files that are not CSV: the message names the kind, and what to do."""

from __future__ import annotations

import gzip

import pytest

from importer.errors import FileError
from importer.file.reader import CsvReader

HEADER = b"first_name,last_name,email\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"-----BEGIN PGP MESSAGE-----\n\nhQEMA\n", "PGP"),
        (b"\x85\x01\x0c\x03" + bytes(range(200)), "PGP"),
        (b"\x84\x5e\x03" + bytes(range(200)), "PGP"),
        (b"\xc1\xc0\x4c\x03" + bytes(range(200)), "PGP"),
        (b"\x8c\x0d\x04\x09\x03\x02" + bytes(range(200)), "PGP"),
        (b'[{"first_name": "Ann"}]', "JSON"),
        (b'\xef\xbb\xbf{\r\n  "users": []}', "JSON"),
        (b'[\n  {"first_name": "Ann"}\n]', "JSON"),
        (b'<?xml version="1.0"?><users/>', "XML"),
        (b"<users>\n<user/></users>", "XML"),
        ("<users>\n</users>".encode("utf-16"), "XML"),
        (b"<!DOCTYPE html>\n<html><title>Oops</title></html>", "web page"),
        (b"\n<html><form>Password <input></form></html>", "signed in"),
        (gzip.compress(HEADER, mtime=0), "gzip"),
        (b"BZh91AY&SY" + bytes(20), "bzip2"),
        (b"PK\x03\x04" + bytes(30), "Excel workbook"),
        (b"%PDF-1.7\n", "PDF"),
        (b"ORA-00942: table or view does not exist\n", "ORA-00942"),
        (b"Msg 208, Level 16, State 1, Line 1\nInvalid object name 'hr.users'.\n", "Msg 208"),
        (b'ERROR:  relation "users" does not exist\nLINE 1: SELECT\n', "relation"),
        (b"ERROR 1045 (28000): Access denied for user 'hr'@'db' (using password: YES)\n", "ERROR 1045"),
        (b'Traceback (most recent call last):\n  File "x.py", line 1\n', "Traceback"),
        (b'Exception in thread "main" java.lang.NullPointerException\n\tat x.Y\n', "Exception"),
        (b"java.sql.SQLException: No suitable driver, url\n", "SQLException"),
        (b'MIME-Version: 1.0\nContent-Type: application/pkcs7-mime; name="smime.p7m"\n', "S/MIME"),
        (b"-----BEGIN PKCS7-----\nMIIB\n", "S/MIME"),
        (b"\x30\x82\x05\x01\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03" + bytes(40), "S/MIME"),
    ],
)
def test_a_file_of_another_kind_is_named_as_one(content: bytes, said: str) -> None:
    for chunks in ([content], [content[at : at + 1] for at in range(len(content))]):
        with pytest.raises(FileError) as caught:
            CsvReader(chunks)
        assert (caught.value.code, caught.value.line) == ("not_a_csv_file", 1)
        assert said in caught.value.message


@pytest.mark.parametrize(
    "header",
    [
        b"error,first_name,last_name,email",
        b"[note],first_name,last_name,email",
        b"{id},first_name,last_name,email",
        b"<id>,first_name,last_name,email",
        b"Error: code,first_name,last_name,email",
        b"Received,first_name,last_name,email",
        b'"first_name","last_name","email"',
    ],
)
def test_a_header_that_begins_in_an_unusual_way_is_read(header: bytes) -> None:
    assert "email" in CsvReader([header + b"\n"]).header.columns
