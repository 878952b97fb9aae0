"""Write sizes, numbers and mappings as text for the form, and read them back exactly. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

_SIZES = [(f"{letter}iB", 1024**power) for power, letter in ((4, "T"), (3, "G"), (2, "M"), (1, "K"))]
_DECIMAL_SIZES = [(f"{letter}B", 1000**power) for power, letter in ((4, "T"), (3, "G"), (2, "M"))]


class NotReadable(ValueError):  # noqa: N818 - what it is
    """The text of a control cannot be read; the message says what to type."""


def size_text(count: int) -> str:
    """Return bytes as exact text: `10 GiB`, `500 MB`, or the number."""
    for unit, factor in (*_SIZES, *_DECIMAL_SIZES):
        if count and count % factor == 0:
            return f"{count // factor} {unit}"
    return str(count)


def number_text(value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if float(value).is_integer() else str(value)


def mapping_lines(mapping: Mapping[str, str]) -> str:
    """Return a mapping as lines of `source = target`."""
    return "\n".join(
        f"{quoted(source, also='=')} = {quoted(target) if target else ''}".rstrip()
        for source, target in mapping.items()
    )


def read_mapping(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            source, target = _pair(line.strip(), number)
            if source in found:
                raise NotReadable(f"line {number}: “{source}” is on two lines; remove one")
            found[source] = target
    return found


def _pair(line: str, number: int) -> tuple[str, str]:
    """Return source and target of one line. A name with `=` in it, or with a space at an end, is in quotes."""
    source, rest = "", line
    if line.startswith('"'):
        try:
            source, end = json.JSONDecoder(strict=False).raw_decode(line)
        except ValueError:
            raise NotReadable(
                f"line {number}: add the closing quote, and write \\\\ for each \\ in the quotes"
            ) from None
        rest = line[end:]
    before, equals, target = rest.partition("=")
    if not equals or (line.startswith('"') and before.strip()):
        raise NotReadable(f"line {number}: write the text in your file, then =, then the Headcount name")
    return source if line.startswith('"') else before.strip(), unquoted(target.strip())


def quoted(text: str, also: str = "") -> str:
    """Return `text` for a line: in quotes, as in JSON, if it could be misread without them."""
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
