"""Searches users by the column `searched`; importer.users.search defines what a search finds.

All users of a tenant are read, in the order of their ids: schema/tenant-001.sql says why there is no index. A word
is looked for as plain text first, and as the beginning of a word only where that is found.
"""

from __future__ import annotations

import re
import unicodedata

from importer.users.search import clean

WORDS = 16
"""Further words of a search are ignored."""
ACCENTS = re.compile("[\u0300-\u036f]+")
SIGMA = str.maketrans("ς", "σ")


def folded(text: str) -> str:
    """Return `text` as the function `folded` in the schema does: without case and accents."""
    if text.isascii():
        return text.lower()
    return ACCENTS.sub("", unicodedata.normalize("NFKD", text.lower())).translate(SIGMA)


def conditions(search: str) -> tuple[list[str], dict[str, str]]:
    """Return SQL conditions on the users `u` that `search` finds, and their values by name.

    Words without a letter or digit are ignored beside others; alone they are looked for as they are.
    """
    asked = [folded(word) for word in clean(search).split()]
    named = [pieces for pieces in map(_pieces, asked) if pieces][:WORDS]
    if not named:
        values = {f"plain{at}": f"%{_escaped(word)}%" for at, word in enumerate(asked[:WORDS])}
        return [f"u.searched LIKE %({name})s" for name in values], values
    where, values = [], {}
    for at, pieces in enumerate(named):
        where += [f"u.searched LIKE %(plain{at})s", f"u.searched ~ %(word{at})s"]
        values[f"plain{at}"] = f"%{max(pieces, key=len)}%"
        values[f"word{at}"] = "(^|[^[:alnum:]])" + "[^[:alnum:]]+".join(pieces)
    return where, values


def _pieces(word: str) -> list[str]:
    """Return the letters and digits of `word` that stand together."""
    return "".join(letter if unicodedata.category(letter)[0] in "LN" else " " for letter in word).split()


def _escaped(word: str) -> str:
    return re.sub(r"[\\%_]", r"\\\g<0>", word)
