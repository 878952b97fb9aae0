"""Sizes, numbers and mappings as people write them in a form, and read back exactly. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

_SIZES = [(f"{letter}iB", 1024**power) for power, letter in ((4, "T"), (3, "G"), (2, "M"), (1, "K"))]
_DECIMAL_SIZES = [(f"{letter}B", 1000**power) for power, letter in ((4, "T"), (3, "G"), (2, "M"))]


class NotReadable(ValueError):  # noqa: N818 - what it is
    """What was typed means nothing; the sentence says what to do."""


def size_text(count: int) -> str:
    """Bytes as people write them, exactly: `10 GiB`, `500 MB`, or the number."""
    for unit, factor in (*_SIZES, *_DECIMAL_SIZES):
        if count and count % factor == 0:
            return f"{count // factor} {unit}"
    return str(count)


def number_text(value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if float(value).is_integer() else str(value)


def mapping_lines(mapping: Mapping[str, str]) -> str:
    """A mapping as people write it: `theirs = ours`, a line for each."""
    return "\n".join(
        f"{quoted(theirs, also='=')} = {quoted(ours) if ours else ''}".rstrip() for theirs, ours in mapping.items()
    )


def read_mapping(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            theirs, ours = _pair(line.strip(), number)
            if theirs in found:
                raise NotReadable(f"line {number}: {theirs!r} is on two lines")
            found[theirs] = ours
    return found


def _pair(line: str, number: int) -> tuple[str, str]:
    """Theirs and ours of one line. A name with a `=` in it, or a space around, stands in quotes."""
    theirs, rest = "", line
    if line.startswith('"'):
        try:
            theirs, end = json.JSONDecoder(strict=False).raw_decode(line)
        except ValueError:
            raise NotReadable(f"line {number}: the quotes do not close, or a \\ in them stands for nothing") from None
        rest = line[end:]
    before, equals, ours = rest.partition("=")
    if not equals or (line.startswith('"') and before.strip()):
        raise NotReadable(f"line {number}: write what your file says, then =, then ours")
    return theirs if line.startswith('"') else before.strip(), unquoted(ours.strip())


def quoted(text: str, also: str = "") -> str:
    """`text` as it can stand in a line: in quotes, as JSON has them, if it could be misread without."""
    plain = text and text == text.strip() and text.isprintable() and not text.startswith('"')
    if plain and not (also and also in text):
        return text
    written = json.dumps(text, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in written)


def unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text, strict=False))
    except ValueError:
        return text


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]
