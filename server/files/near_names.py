"""Decide whether a file name is similar to the name of a hook, and say what is wrong and what to do. Pure.

There are two rules. The narrow rule is for every hook: another case or folder, another extension, a packed or
encrypted file, a blank, a copy as spreadsheets and browsers number them. The wide rule is for hooks that ask for it.
It adds: a date, a time or a word before or after; one letter more, less or different; and, only in the hook's folder,
one word less. An extension that clients and schedulers use for something else (`.filepart`, `.ok`) is never similar.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

_PACKED = r"\.(?:gz|bz2|xz|zst|zip|7z|rar|tar|tgz|pgp|gpg|asc|aes)"
_SHEET = r"\.(?:xlsx|xls|xlsm|ods)"
_ENDING = rf"(?:{_PACKED}|{_SHEET}|\.txt|\.tsv|\.csv)"
_ENDINGS = re.compile(rf"(?:{_ENDING}|\s)*$")
_AFTER_THE_WHOLE_NAME = re.compile(rf"(?:{_ENDING}|\s)+", re.IGNORECASE)
_ANOTHER_USE = re.compile(r"\.(?:filepart|part|tmp|sha256|md5|sig|ok|done|ctl|bak|old|log)\s*$|~$")
_COPY = re.compile(r"^copy of |(?:[ _-]*\(\d+\)|[ _-]+(?:copy|kopie)(?: \d+)?)+$")
_BETWEEN = re.compile(r"[\s_.\-]+")
_TIME = re.compile(r"\d+(?:t\d+)?z?")


def describe_difference(path: str, hooked: str, *, wide: bool) -> str | None:
    """Return a message about a file at `path` if `hooked` was probably meant, as sentences; None if it was not."""
    name, meant = _folded(_name(path)), _folded(_name(hooked))
    if path == hooked or not _may_be_meant(path, name, meant, hooked):
        return None
    stem, its = _stem(name), _stem(meant)
    near = _joined(stem) == _joined(its) or (wide and _near_by_words(path, hooked, _words(stem), _words(its)))
    return _message(path, hooked, _fault(path, hooked, name)) if near else None


def _near_by_words(path: str, hooked: str, words: Sequence[str], own: Sequence[str]) -> bool:
    """Apply the wide rule."""
    if any(_within_one_letter("".join(window), "".join(own)) for window in _windows(words, len(own) + 1)):
        return True
    in_its_folder = _folder(path).lower() == _folder(hooked).lower()
    undated = [word for word in words if not _TIME.fullmatch(word)]
    return in_its_folder and len(own) > 1 and undated in [[*own[:at], *own[at + 1 :]] for at in range(len(own))]


def _may_be_meant(path: str, name: str, meant: str, hooked: str) -> bool:
    """Return False if the name shows another purpose: an unfinished upload, a marker of its end, a backup."""
    if _ANOTHER_USE.search(name) and not _ANOTHER_USE.search(meant):
        return False
    if name.startswith((".", "~")):  # clients hide unfinished uploads
        return False
    whole = _name(hooked)
    rest = _name(path)[len(whole) :] if _name(path).startswith(whole) else ""
    return not rest or _AFTER_THE_WHOLE_NAME.fullmatch(rest) is not None


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _stem(name: str) -> str:
    """Return a folded name without extensions and without the marks of copies (`copy of`, `(1)`)."""
    return _COPY.sub("", _ENDINGS.sub("", name.strip()).rstrip())


def _joined(stem: str) -> str:
    return _BETWEEN.sub("", stem)


def _words(stem: str) -> list[str]:
    return [word for word in _BETWEEN.split(stem) if word]


def _windows(words: Sequence[str], longest: int) -> Iterator[Sequence[str]]:
    for start in range(len(words)):
        for end in range(start + 1, min(start + longest, len(words)) + 1):
            yield words[start:end]


def _within_one_letter(text: str, other: str) -> bool:
    """Return whether one letter added, removed or replaced turns `other` into `text`."""
    short, long = sorted((text, other), key=len)
    if len(long) - len(short) > 1:
        return False
    at = next((at for at, letter in enumerate(short) if long[at] != letter), len(short))
    return long[at + 1 :] == short[at + (len(short) == len(long)) :]


def _fault(path: str, hooked: str, name: str) -> str:
    """Return how the name differs: the fault that must be fixed first."""
    if re.search(_PACKED, _ENDINGS.search(name)[0]):  # type: ignore[index]
        return "packed"
    if re.search(_SHEET, _ENDINGS.search(name)[0]):  # type: ignore[index]
        return "sheet"
    if _name(path) == _name(hooked):
        return "folder"
    return "case" if _name(path).lower() == _name(hooked).lower() else "name"


def _message(path: str, hooked: str, what: str) -> str:
    # A file under a longer name may be only a part of the list, so do not simply ask for it under the hook's name.
    again = f"Send it again as {hooked}."
    again = again if what in {"folder", "case"} else f"If it is meant for {hooked}, send it again under that name."
    fault, advice = {
        "packed": ("it is packed or encrypted", f"Unpack it and send the CSV file as {hooked}."),
        "sheet": ("it is a workbook, not a CSV file", f"Save it as “CSV UTF-8” and send that file as {hooked}."),
        "folder": ("it is in another folder", again),
        "case": ("uppercase and lowercase letters differ", again),
        "name": ("the name differs", again),
    }[what]
    return f"{path} was not imported ({fault}). {advice}"


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _folder(path: str) -> str:
    return path.rsplit("/", 1)[0]
