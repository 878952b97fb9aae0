"""Invisible characters: which are trimmed from cells, and how messages and mails show the others. Pure."""

from __future__ import annotations

BLANKS = (
    " \t\r\n\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\u200b\u2060\ufeff"
)
"""Characters trimmed from both ends of a cell: white space and meaningless invisible ones; no control characters."""


def visible(text: str) -> str:
    """Return `text` with each unprintable character as its code, such as `<U+00A0>`."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else f"<U+{ord(letter):04X}>" for letter in text)


def one_line(text: str) -> str:
    """Return `text` on one line: white space and unprintable characters become single spaces, none at the ends."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
