"""Recognize files that are not CSV by their first bytes: archives, encrypted files, web pages, errors. Pure.

The message names the kind of file and what to do. Only beginnings that no list of users can have are listed.
"""

from __future__ import annotations

import re

from importer.errors import FileError

SNIFFED = 1024
"""The number of bytes at the beginning of a file that are examined."""

LINE_SHOWN = 60
"""The most characters of a line that a message quotes."""

_CSV = "Save it as “CSV UTF-8” and send it again."
_UNPACK = "Unpack it and send the CSV file in it."
_DECRYPT = (
    "Headcount cannot decrypt it. Turn off encryption in the export (SFTP encrypts the transfer), or decrypt the "
    "file. "
    "Then send the CSV file."
)
_EXPORT = "Choose CSV as the format of the export and send it again."

_ARCHIVES = (
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh91AY&SY", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a rar archive"),
)
_DOCUMENTS = (
    (b"PK\x03\x04", "an Excel workbook (.xlsx) or another zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)"),
    (b"%PDF", "a PDF document"),
    (b"{\\rtf", "a text document (RTF)"),
    (b"SQLite format 3\x00", "a SQLite database"),
    (b"PAR1\x15", "a Parquet file"),
)
_PGP = re.compile(
    rb"\s*-----BEGIN PGP |[\x84\x8c\xc1\xc3][\x00-\xff][\x03-\x06]|\x85[\x00-\xff]{2}[\x03-\x06]"
    rb"|\xc1[\xc0-\xdf][\x00-\xff][\x03-\x06]|age-encryption\.org/"
)
_SMIME = re.compile(
    rb"\s*-----BEGIN (?:PKCS7|CMS)-----|\x30[\x80-\x84][\x00-\xff]{0,4}\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07"
)
_MAIL = re.compile(rb"\s*(?:mime-version|content-type|received|return-path|x-[a-z-]+):\s", re.IGNORECASE)
_HTML = re.compile(rb"\s*(?:<!--[^>]*-->\s*)?<(?:!doctype\s+html|html|head|body|table|meta|script)\b", re.IGNORECASE)
_XML = re.compile(rb"\s*<(?:\?xml|!\[CDATA|[a-z_][\w.:-]*(?:\s[^<>]*)?>\s*(?:<|$))", re.IGNORECASE)
_JSON = re.compile(rb"\s*(?:\{\s*(?:[\"}]|$)|\[\s*(?:[\[{\]]|\"(?:[^\"\\]|\\.)*\"\s*[,\]]|$))")
_LOGIN = re.compile(rb"password|passwort|log ?in|sign ?in|anmeld|connexion|single sign", re.IGNORECASE)
_KEY = re.compile(rb"\s*-----BEGIN ")
_ERROR = re.compile(
    r"ORA-\d{4,5}\b|SP2-\d{4}\b|TNS-\d{5}\b|PLS-\d{5}\b|DB2\w* SQL Error|SQL\d{4,5}[NCW]\b|SQLSTATE\b"
    r"|Msg \d+, Level \d+|ERROR \d{3,5} \([0-9A-Z]{5}\)|(?:psql:.*)?(?:ERROR|FATAL|PANIC):  |Sqlcmd: "
    r"|Traceback \(most recent call last\)|Unhandled [Ee]xception|Exception in thread |Caused by: "
    r"|(?:[a-z_]\w*\.)+[A-Z]\w*(?:Exception|Error)\b|(?:PHP )?(?:Fatal|Parse) error: |Error: Cannot |panic: "
    r"|Microsoft OLE DB|\[Microsoft\]|\[ODBC|(?:mysqldump|mysql|sqlplus|bcp): |(?:Access|Permission) denied\b"
    r"|HTTP/\d(?:\.\d)? \d{3}|\d{3} (?:Internal Server Error|Bad Gateway|Forbidden|Unauthorized|Not Found)\s*$"
    r"|(?:Internal Server Error|Bad Gateway|Service Unavailable|Unauthorized|Forbidden)\s*$"
)


def another_kind(first: bytes) -> FileError | None:
    """Return the error for a file that begins with `first` and is not CSV; None if it may be CSV."""
    for magic, name in _ARCHIVES:
        if first.startswith(magic):
            return _not_csv(f"{name}, not a CSV file. {_UNPACK}")
    for magic, name in _DOCUMENTS:
        if first.startswith(magic):
            return _not_csv(f"{name}, not a CSV file. {_CSV}")
    if _PGP.match(first):
        return _not_csv(f"encrypted (PGP), not a CSV file. {_DECRYPT}")
    if _SMIME.match(first):
        return _not_csv(f"signed or encrypted (S/MIME), not a CSV file. {_DECRYPT}")
    return _text_of_another_kind(_plain(first))


def _text_of_another_kind(text: bytes) -> FileError | None:
    if _MAIL.match(text):
        if b"pkcs7" in text.lower():
            return _not_csv(f"signed or encrypted (S/MIME), not a CSV file. {_DECRYPT}")
        return _not_csv("an email message, not a CSV file. Save its attachment and send that.")
    if _KEY.match(text):
        return _not_csv("a key, a certificate or an encrypted file, not a CSV file. Send the list of users as CSV.")
    if _HTML.match(text):
        if _LOGIN.search(text):
            return _not_csv(
                "a sign-in page (HTML), not a CSV file. The program that fetched the list was not signed in. "
                "Fix its access, then export and send the list again."
            )
        return _not_csv(
            "a web page (HTML), not a CSV file. Open it: it may say why the export failed. "
            "Then export the list as CSV."
        )
    if _XML.match(text):
        return _not_csv(f"an XML document, not a CSV file. {_EXPORT}")
    if _JSON.match(text):
        return _not_csv(f"a JSON document, not a CSV file. {_EXPORT}")
    return _error_message(text)


def _error_message(text: bytes) -> FileError | None:
    lines = [line.strip() for line in text.decode("utf-8", "replace").splitlines()[:8]]
    found = next((line for line in lines if line), "")
    if not _ERROR.match(found):
        return None
    quoted = "".join(letter if letter.isprintable() else " " for letter in found)
    short = quoted if len(quoted) <= LINE_SHOWN else f"{quoted[: LINE_SHOWN - 1]}…"
    return _not_csv(
        f"the error message of a program, not a CSV file: “{short}”. The export failed. "
        "Show this message to the person who runs the export, then send the list again."
    )


def _plain(first: bytes) -> bytes:
    """Return `first` without its byte order mark; UTF-16 text as ASCII, as far as it is ASCII."""
    for mark in (b"\xff\xfe", b"\xfe\xff"):
        if first.startswith(mark):
            return first[2:].replace(b"\0", b"")
    return first.removeprefix(b"\xef\xbb\xbf")


def _not_csv(what: str) -> FileError:
    return FileError("not_a_csv_file", f"The file is {what}", line=1)
