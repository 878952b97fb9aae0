"""The steps of a page in Markdown, as a reader follows them: files to save, commands to run, and their output."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAVE_AS = re.compile(r"[Ss]ave (?:it|this) as\s+`([^`]+)`")


@dataclass(frozen=True)
class Step:
    """One block of code. `prose` is the text before it, since the block or heading before.

    A file has its `name`. `content` is its content, the commands, or the output that is expected of those before it.
    """

    kind: Literal["file", "commands", "output", "other"]
    content: str
    prose: str
    name: str | None = None


def section(page: str, heading: str) -> str:
    """Return the text below a heading of level 2 or 3, with the deeper headings in it."""
    level, _, rest = next(
        (marks, line, page[found.end() :])
        for found in re.finditer(r"^(##+) (.+)$", page, re.MULTILINE)
        for marks, line in [(found[1], found[2])]
        if line == heading
    )
    return re.split(rf"^#{{2,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def steps(text: str) -> Iterator[Step]:
    """Yield the steps of a text in order."""
    end = 0
    for block in BLOCK.finditer(text):
        prose = re.split(r"^#+ .*$", text[end : block.start()], flags=re.MULTILINE)[-1].strip()
        end = block.end()
        named = SAVE_AS.findall(prose)
        if named:
            yield Step("file", block[2], prose, named[-1])
        elif block[1] == "sh":
            yield Step("commands", block[2], prose)
        elif block[1] == "text":
            yield Step("output", block[2], prose)
        else:
            yield Step("other", block[2], prose)


def files(text: str) -> dict[str, str]:
    """Return the files that a text says to save, by name."""
    return {step.name: step.content for step in steps(text) if step.name is not None}
