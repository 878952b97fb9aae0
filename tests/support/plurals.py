"""Checks the texts of pages: plurals after counts, zeros, and the length of sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html.parser import HTMLParser

from tests.support.sentences import MOST_WORDS

NOUNS = {
    **{name: f"{name}s" for name in ("user", "row", "import", "file", "warning", "message", "setting", "key", "day")},
    **{name: f"{name}s" for name in ("connection", "column", "value", "change", "error", "notice", "line", "byte")},
    **{name: f"{name}s" for name in ("invitation", "team", "location", "field", "cell", "hour", "minute", "token")},
    "company": "companies",
    "person": "people",
    "address": "addresses",
}

_KINDS = "active|created|updated|deactivated|reactivated|rejected|ignored|open|new|more|wrong"
_COUNT = rf"(?<![\w,.#:%/-])(\d(?:[\d,]*\d)?) (?:(?:{_KINDS}) )?"
_ONE = re.compile(rf"{_COUNT}({'|'.join(NOUNS)})\b(?![-’'])")
_MANY = re.compile(rf"{_COUNT}({'|'.join(NOUNS.values())})\b")
_ENDS = re.compile(r"(?<=[.!?:])\s+(?=[A-Z“\"])")
_BLOCKS = frozenset(
    {
        *("p", "li", "h1", "h2", "h3", "td", "th", "dt", "dd", "div", "section", "label", "legend", "button"),
        *("option", "summary", "caption", "title", "desc", "figcaption", "nav", "pre"),
    }
)
_SKIPPED = frozenset({"script", "style", "pre", "code"})


class Blocks(HTMLParser):
    """The visible texts of a page, one for each block, in `found`. Links and spans are part of their block."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._text = ""
        self._skipped = 0
        self.feed(page)
        self._end()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        self.found += [text for name in ("aria-label", "title", "placeholder") if (text := facts.get(name))]
        if tag == "code":
            self._text += "X"
        if tag in _SKIPPED:
            self._skipped += 1
        elif tag in _BLOCKS or {"under", "help"} & {*(facts.get("class") or "").split()}:
            self._end()

    def handle_endtag(self, tag: str) -> None:
        if tag in _SKIPPED:
            self._skipped -= 1
        elif tag in _BLOCKS:
            self._end()

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self._text += data

    def _end(self) -> None:
        if text := " ".join(self._text.split()):
            self.found.append(text)
        self._text = ""


def faults_of(text: str, *, zeros: bool = False) -> list[str]:
    """Return each count in `text` whose noun has the wrong number, and each 0 unless `zeros` are allowed."""
    ones = [found for found in _ONE.finditer(text) if found[1] != "1"]
    many = [found for found in _MANY.finditer(text) if found[1] == "1" or (found[1] == "0" and not zeros)]
    return [found[0] for found in (*ones, *many)]


def sentences_of(text: str) -> list[str]:
    return [each for each in _ENDS.split(text) if each.strip()]


def long_sentences(texts: Iterable[str]) -> list[str]:
    """Return the sentences with more than MOST_WORDS words."""
    return [each for text in texts for each in sentences_of(text) if len(each.split()) > MOST_WORDS]


def mean_length(texts: Iterable[str]) -> float:
    """Return the mean number of words in a sentence."""
    lengths = [len(each.split()) for text in texts for each in sentences_of(text)]
    return sum(lengths) / len(lengths)
