"""Which names come near the name of a hook without being it, and what to do about one. Pure.

Two rules. Narrow, for every hook: another case or folder, another ending, a packed or encrypted file, a blank, a
copy as spreadsheets and browsers number them. Wide, for hooks that ask for it, also: a date, a time or a word before
or after, one letter more, less or other, and, in the hook's own folder only, one word less. An ending that clients
and schedulers use for something else (`.filepart`, `.ok`) is never near: silence is right there.
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


def what_differs(path: str, hooked: str, *, wide: bool) -> str | None:
    """Return what to say of a file at `path` if `hooked` was probably meant, as a sentence; None if it was not."""
    name, meant = _folded(_name(path)), _folded(_name(hooked))
    if path == hooked or not _may_be_meant(path, name, meant, hooked):
        return None
    stem, its = _stem(name), _stem(meant)
    near = _joined(stem) == _joined(its) or (wide and _near_by_words(path, hooked, _words(stem), _words(its)))
    return _said(path, hooked, _what(path, hooked, name)) if near else None


def _near_by_words(path: str, hooked: str, words: Sequence[str], own: Sequence[str]) -> bool:
    """The wide rule."""
    if any(_within_one_letter("".join(window), "".join(own)) for window in _windows(words, len(own) + 1)):
        return True
    in_its_folder = _folder(path).lower() == _folder(hooked).lower()
    undated = [word for word in words if not _TIME.fullmatch(word)]
    return in_its_folder and len(own) > 1 and undated in [[*own[:at], *own[at + 1 :]] for at in range(len(own))]


def _may_be_meant(path: str, name: str, meant: str, hooked: str) -> bool:
    """Whether nothing says that the file is something else: an unfinished upload, a sign of its end, a backup."""
    if _ANOTHER_USE.search(name) and not _ANOTHER_USE.search(meant):
        return False
    if name.startswith((".", "~")):  # clients hide what they have not finished
        return False
    whole = _name(hooked)
    rest = _name(path)[len(whole) :] if _name(path).startswith(whole) else ""
    return not rest or _AFTER_THE_WHOLE_NAME.fullmatch(rest) is not None


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _stem(name: str) -> str:
    """What is left of a folded name without endings, and what people, spreadsheets and browsers put around one."""
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
    """Whether one letter more, less or other makes `text` of `other`."""
    short, long = sorted((text, other), key=len)
    if len(long) - len(short) > 1:
        return False
    at = next((at for at, letter in enumerate(short) if long[at] != letter), len(short))
    return long[at + 1 :] == short[at + (len(short) == len(long)) :]


def _what(path: str, hooked: str, name: str) -> str:
    """How the name differs: the fault that must be mended first."""
    if re.search(_PACKED, _ENDINGS.search(name)[0]):  # type: ignore[index]
        return "packed"
    if re.search(_SHEET, _ENDINGS.search(name)[0]):  # type: ignore[index]
        return "sheet"
    if _name(path) == _name(hooked):
        return "folder"
    return "case" if _name(path).lower() == _name(hooked).lower() else "name"


def _said(path: str, hooked: str, what: str) -> str:
    # A file under a longer name may hold a part of the list only: that one must not go where whole lists go.
    again = f"Send it again as {hooked}." if what in {"folder", "case"} else f"If it is meant, send it as {hooked}."
    fault, advice = {
        "packed": ("it is packed or encrypted", f"Unpack it, and send the CSV file in it as {hooked}."),
        "sheet": ("it is a workbook, not a CSV file", f"Save it as “CSV UTF-8”, and send that as {hooked}."),
        "folder": ("it is in another folder", again),
        "case": ("upper and lower case differ", again),
        "name": ("the name differs", again),
    }[what]
    return f"{path} was not imported: {fault}. Only {hooked} is. {advice}"


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _folder(path: str) -> str:
    return path.rsplit("/", 1)[0]
