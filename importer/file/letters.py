"""Letters that no reader sees: what cells are trimmed of, and how messages and mails show the rest.  Pure."""

from __future__ import annotations

BLANKS = (
    " \t\r\n\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\u200b\u2060\ufeff"
)
"""What cells are trimmed of: white space, and what is invisible and means nothing. No control characters."""


def visible(text: str) -> str:
    """`text` with what nobody can see in it written out, such as `<U+00A0>`."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else f"<U+{ord(letter):04X}>" for letter in text)


def one_line(text: str) -> str:
    """`text` with every line end, tab and control character made a space: safe in a header and in a list."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
