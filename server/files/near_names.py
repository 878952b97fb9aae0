"""Decide whether a file name is similar to the name of a hook, and say what is wrong and what to do. Pure.

There are two rules. The narrow rule is for every hook: another case or folder, another extension, a packed or
encrypted file, a blank, a copy as spreadsheets and browsers number them. The wide rule is for hooks that ask for it.
It adds: a date, a time or a word before or after; one letter more, less or different; and, only in the hook's folder,
one word less. An extension that clients and schedulers use for something else (`.filepart`, `.ok`) is never similar.

To a path with `*`, only files in its folder are similar, by the narrow rule and without the marks of copies.
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
_LAST_ENDING = re.compile(rf"{_ENDING}\s*$", re.IGNORECASE)
_TABLE = re.compile(r"\.(?:csv|txt|tsv)$")
_BETWEEN = re.compile(r"[\s_.\-]+")
_TIME = re.compile(r"\d+(?:t\d+)?z?")


def describe_difference(path: str, hooked: str, *, wide: bool, done: str = "imported") -> str | None:
    """Return a message about a file at `path` if `hooked` was probably meant, as sentences; None if it was not.

    `done` is the participle of what the hook does.
    """
    name, meant = _folded(_name(path)), _folded(_name(hooked))
    if path == hooked or not _may_be_meant(path, name, meant, hooked):
        return None
    stem, its = _stem(name), _stem(meant)
    near = _joined(stem) == _joined(its) or (wide and _near_by_words(path, hooked, _words(stem), _words(its)))
    return _message(path, hooked, _fault(path, hooked, name), done) if near else None


def describe_difference_from_pattern(path: str, pattern: str, *, done: str = "processed") -> str | None:
    """Return a message about a file at `path`, if a path that matches `pattern`, which has a `*`, was meant."""
    folders, its = path.split("/"), pattern.split("/")
    name, last = folders.pop(), its.pop()
    if len(folders) != len(its) or not _may_be_meant(path, _folded(name), _folded(last), pattern):
        return None
    named = (_spelled(each, last) for each in _without_endings(name, last))
    meant = [*map(_spelled, folders, its), next(filter(None, named), None)]
    hooked = "/".join(each for each in meant if each is not None)
    if None in meant or hooked == path:
        return None
    return _message(path, hooked, _fault(path, hooked, _folded(name)), done)


def _spelled(name: str, part: str) -> str | None:
    """Return `name` with the letters of `part`, a part of a pattern, in their case there; None if others differ."""
    letters = part.split("*")
    found = re.fullmatch("(.*)".join(map(re.escape, letters)), unicodedata.normalize("NFKC", name), re.IGNORECASE)
    if found is None:
        return None
    return "".join(each for pair in zip(letters, (*found.groups(), ""), strict=True) for each in pair)


def _without_endings(name: str, part: str) -> Iterator[str]:
    """Yield `name` without blanks, without its last extensions one by one, and with the extension of `part`."""
    whole = name = name.strip()
    ending = _TABLE.search(part)
    yield name
    while found := _LAST_ENDING.search(name):
        name = name[: found.start()].rstrip()
        yield name
    if ending and name != whole:
        yield name + ending[0]


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
    endings, its = (_ENDINGS.search(each)[0] for each in (name, _folded(_name(hooked))))  # type: ignore[index]
    for fault, pattern in (("packed", _PACKED), ("sheet", _SHEET)):
        if re.search(pattern, endings) and not re.search(pattern, its):
            return fault
    if _name(path) == _name(hooked) and path.lower() != hooked.lower():
        return "folder"
    return "case" if _name(path).lower() == _name(hooked).lower() else "name"


def _message(path: str, hooked: str, what: str, done: str) -> str:
    # A file under a longer name may be only a part of the list, so do not simply ask for it under the hook's name.
    again = f"Send it again as {hooked}."
    again = again if what in {"folder", "case"} else f"If it is meant for {hooked}, send it again under that name."
    kind = "CSV file" if hooked.endswith(".csv") else "file"
    fault, advice = {
        "packed": ("it is packed or encrypted", f"Unpack it and send the {kind} as {hooked}."),
        "sheet": ("it is a workbook, not a CSV file", f"Save it as “CSV UTF-8” and send that file as {hooked}."),
        "folder": ("it is in another folder", again),
        "case": ("uppercase and lowercase letters differ", again),
        "name": ("the name differs", again),
    }[what]
    return f"{path} was not {done} ({fault}). {advice}"


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _folder(path: str) -> str:
    return path.rsplit("/", 1)[0]
