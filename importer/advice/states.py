"""The meaning of words that tell who has left. Proposals with them deactivate users, so only what is certain.  Pure.

`importer.rules.left` has the words, and says which are certain. If a word has different meanings in different systems
(Inactive, Suspended, Pending), a person must decide, unless the other words of the column settle it.
"""

from __future__ import annotations

import unicodedata
from enum import Enum, auto
from functools import lru_cache

from importer.rules.left import FALSE_WORDS, LEAVE, LEFT_IF_NO_CLEARER, SURELY_LEFT, SURELY_STAYS, TRUE_WORDS


class Meant(Enum):
    """The meaning of a word."""

    LEFT = auto()
    STAYS = auto()
    OPEN = auto()  # a person must decide


def _set(words: str) -> frozenset[str]:
    return frozenset(map(plain, words.split()))


@lru_cache(maxsize=1024)
def plain(text: str) -> str:
    """Return `text` as it is looked up: letters and digits without accents, in lower case."""
    apart = unicodedata.normalize("NFKD", text).lower().replace("\u0142", "l").replace("\u00df", "ss")
    return "".join(letter for letter in apart if letter.isalnum())


_YES = TRUE_WORDS - {"x"}
_TICKS = frozenset({"x", "✓", "✔", "☑", "○", "◯"})
_BESIDE = {"t": "f", "f": "t", "s": "n", "o": "n"}
"""Letters that mean yes or no only if the column has the other one too: T may be Terminated, S Suspended."""

_STATES = frozenset("aildrpuq")
"""Letters that mean states: A and T are Active and Terminated."""

_NOTES = {
    "suspended": "A suspended user is still employed, but may be meant to have no access.",
    "pending": "It may be a user who has not started, or one who is about to leave.",
    "resigned": "A user who has resigned works until the last day.",
}
_MAYBE_INACTIVE = "It may be a leave, because the column has another word for users who have left."
_NOT_THOSE = _set("pending future planned not rescinded rehire rehired rehirable no until rescind eligible partial")


def flag_of(text: str, all_words: frozenset[str], blanks: int) -> bool | None:
    """Return whether `text` means yes; None for neither yes nor no. A tick means yes if all other cells are blank."""
    word = plain(text)
    if text.strip().lower() in _TICKS:
        return True if blanks and len(all_words) == 1 else None
    if word in _YES or word in FALSE_WORDS:
        if len(word) == 1 and word.isascii() and word.isalpha():
            letters = {plain(each) for each in all_words}
            if letters & _STATES or _BESIDE.get(word, word) not in letters:
                return None
        return word in _YES
    return None


def state_of(text: str, all_words: frozenset[str]) -> tuple[Meant, str]:
    """Return what `text` says about the user, and a note if a person must decide."""
    word = plain(text)
    others = {plain(each) for each in all_words} - {word}
    if len(word) == 1:
        return _letter(word, {plain(each) for each in all_words})
    if word in SURELY_LEFT:
        return Meant.LEFT, ""
    if word in SURELY_STAYS:
        return Meant.STAYS, ""
    if word in LEFT_IF_NO_CLEARER:
        clearer = any(_says_left(each) for each in others)
        return (Meant.OPEN, _MAYBE_INACTIVE) if clearer else (Meant.LEFT, "")
    if word == "baja":  # also a sick leave
        by_active = others & {"activo", "activa"} and not any(each.startswith("baja") for each in others)
        return (Meant.LEFT, "") if "alta" in others or by_active else (Meant.OPEN, "It may be a sick leave.")
    if word in LEAVE:
        return (Meant.STAYS, "") if any(_says_left(each) for each in others) else (Meant.OPEN, "")
    begins = _first_word(text)
    if begins in SURELY_LEFT & _BEGINNINGS:
        return Meant.LEFT, ""
    if begins in SURELY_STAYS & _BEGINNINGS:
        return Meant.STAYS, ""
    return Meant.OPEN, next((note for start, note in _NOTES.items() if word.startswith(start)), "")


_BEGINNINGS = _set("terminated ausgeschieden ausgetreten active aktiv employed onleave")


def _says_left(word: str) -> bool:
    return word in SURELY_LEFT or word.startswith("terminated")


def _first_word(text: str) -> str:
    """Return the first word of `text` if the rest only adds to it: Terminated - Voluntary, Active (LOA)."""
    if any(letter.isdigit() for letter in text):
        return ""
    words = [plain(word) for word in text.replace("-", " ").replace("/", " ").split()]
    words = [word for word in words if word]
    if len(words) < 2 or set(words[1:]) & _NOT_THOSE or any(_says_left(word) for word in words[1:]):
        return ""
    return words[0]


def _letter(letter: str, letters: set[str]) -> tuple[Meant, str]:
    """Return the meaning of A and T in a column that has only letters; others differ from system to system."""
    if letters <= set("atilrdsupq") and {"a", "t"} <= letters and letter in "at":
        return (Meant.STAYS if letter == "a" else Meant.LEFT), ""
    if letters == {"a", "i"} and letter in "ai":
        return (Meant.STAYS if letter == "a" else Meant.LEFT), ""
    return Meant.OPEN, ""
