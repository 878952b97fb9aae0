"""Errors of obstore in words. Its own texts may have keys and whole answers, so none of them is passed on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError

from importer.errors import FilesAway

CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
STATUS = re.compile(r"status code: ([0-9]{3})")
KIND = re.compile(r"kind: (Connect|Timeout|Decode|Interrupted)\b")
CERTIFICATE = re.compile(r"InvalidCertificate\(\s*([A-Za-z]{1,60})")
KINDS = {
    "Connect": "the connection cannot be made",
    "Timeout": "it does not answer in time",
    "Decode": "its answer is not valid",
    "Interrupted": "the connection was lost",
}
NO_KEY = "NoSuchKey"
NOT_KNOWN = "501"
SILENT = "it does not answer in time"


@contextmanager
def translating() -> Iterator[None]:
    """Raise errors of obstore in the block as FilesAway, without their causes."""
    try:
        yield
    except TimeoutError:
        raise FilesAway(SILENT) from None
    except FileNotFoundError as error:
        raise FilesAway(in_words(error)) from None
    except BaseError as error:
        raise FilesAway(in_words(error)) from None


def in_words(error: Exception) -> str:
    """Return what the storage said: a code of S3, the status of an answer, or why there was none."""
    text = str(error)
    code, status, kind = CODE.search(text), STATUS.search(text), KIND.search(text)
    if certificate := CERTIFICATE.search(text):
        return f"its certificate is not accepted: {certificate[1]}"
    if code and status:
        return f"it answers {status[1]} {code[1]}"
    if status:
        return f"it answers {status[1]}"
    if code:
        return f"it answers {code[1]}"
    return KINDS[kind[1]] if kind else f"the request fails ({type(error).__name__})"


def is_absent(error: FileNotFoundError) -> bool:
    """Return whether the answer says that there is no such object, and not that there is no bucket."""
    code = CODE.search(str(error))
    return code is None or code[1] == NO_KEY


def is_unknown(error: BaseError) -> bool:
    """Return whether the answer says that the storage does not know a part of the request."""
    status = STATUS.search(str(error))
    return bool(status and status[1] == NOT_KNOWN)
