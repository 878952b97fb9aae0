"""A document in Markdown as HTML for a page of the help. Pure.

Headings have the anchors of GitHub. If the first cell of a row is only a code, such as the name of a setting, the row
has that code as its anchor. HTML in a document is shown as text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

SHOWN_LEVELS = (2, 3)
"""The levels of headings in the contents of a page."""
_CODE = re.compile(r"[\w.-]+")


@dataclass(frozen=True, slots=True)
class Picture:
    """The address of a picture, and its size in pixels: a page keeps its place before the picture arrives."""

    address: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Heading:
    level: int
    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """A rendered document. `html` is all of it below the title; `anchors` has every anchor of the page."""

    title: Heading
    headings: tuple[Heading, ...]
    anchors: frozenset[str]
    html: str

    @property
    def contents(self) -> list[tuple[Heading, list[Heading]]]:
        """Return the headings of level 2, each with those of level 3 below it."""
        found: list[tuple[Heading, list[Heading]]] = []
        for heading in self.headings:
            if heading.level == SHOWN_LEVELS[0]:
                found.append((heading, []))
            elif found:
                found[-1][1].append(heading)
        return found


def rendered(source: str, link_to: Callable[[str], str | None], picture: Callable[[str], Picture]) -> Document:
    """Return the document `source`, which begins with its title.

    `link_to` returns the address of a link on the page; None leaves its text without a link. `picture` returns the
    picture of a path in the document.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(source)
    anchors: set[str] = set()
    headings = list(_name_headings(tokens, anchors))
    _name_rows(tokens, anchors)
    for token in tokens:
        _lead_links(token.children or [], link_to)
        _place_pictures(token.children or [], picture)
    _label_cells(tokens)
    body = list(_boxed(tokens[3:]))
    html: str = parser.renderer.render(body, parser.options, {})
    shown = tuple(heading for heading in headings if heading.level in SHOWN_LEVELS)
    return Document(headings[0], shown, frozenset(anchors), html)


def anchor_of(text: str) -> str:
    """Return the anchor that GitHub gives to a heading with this text, if no heading before it has it. Pure."""
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def _unique(wanted: str, taken: set[str]) -> str:
    """Return `wanted`, with a number from 1 if it is taken; add it to `taken`."""
    number, name = 0, wanted
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    taken.add(name)
    return name


def _name_headings(tokens: Sequence[Token], taken: set[str]) -> Iterator[Heading]:
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            text = _text(inline)
            anchor = _unique(anchor_of(text), taken)
            opening.attrSet("id", anchor)
            yield Heading(int(opening.tag[1:]), anchor, text)


def _name_rows(tokens: Sequence[Token], taken: set[str]) -> None:
    """Give rows that begin with a code its anchor. Headings come first: a row gets a number if it is taken."""
    for row, opening, inline in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if row.type == "tr_open" and opening.type == "td_open":
            children = inline.children or []
            if len(children) == 1 and children[0].type == "code_inline" and _CODE.fullmatch(children[0].content):
                row.attrSet("id", _unique(children[0].content, taken))


def _lead_links(children: Sequence[Token], link_to: Callable[[str], str | None]) -> None:
    kept = True
    for child in children:
        if child.type == "link_open":
            address = link_to(str(child.attrGet("href")))
            kept = address is not None
            child.attrSet("href", address or "")
        if not kept and child.type in {"link_open", "link_close"}:
            child.type, child.tag, child.nesting, child.content = "text", "", 0, ""


def _place_pictures(children: Sequence[Token], picture: Callable[[str], Picture]) -> None:
    for child in children:
        if child.type == "image":
            found = picture(str(child.attrGet("src")))
            child.attrs = {"src": found.address, "alt": "", "loading": "lazy"}
            child.attrs |= {"width": found.width, "height": found.height}


def _label_cells(tokens: Sequence[Token]) -> None:
    """Give each cell the name of its column: on a small screen, a row is a card. A blank name makes no header."""
    columns: list[str] = []
    at = 0
    for opening, inline, closing in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if opening.type == "table_open":
            columns = []
        elif opening.type == "tr_open":
            at = 0
        elif opening.type == "th_open":
            columns.append(_text(inline))
            opening.attrSet("scope", "col")
            if not columns[-1]:
                opening.tag = closing.tag = "td"
                opening.attrs = {}
        elif opening.type == "td_open":
            opening.attrSet("class", "full")
            if at and columns[at] and _text(inline):
                opening.attrSet("data-label", columns[at])
            at += 1


def _boxed(tokens: Sequence[Token]) -> Iterator[Token]:
    """Yield the tokens: a table in a box that scrolls, named by its heading, and code that keys can scroll."""
    heading, names = "", set[str]()
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open" and following:
            heading = _text(following)
        if token.type in {"fence", "code_block"}:
            yield _html(f'<pre tabindex="0"><code>{escape(token.content)}</code></pre>\n')
            continue
        if token.type == "table_open":
            name = escape(_unique(heading, names))
            yield _html(f'<div class="table" tabindex="0" role="region" aria-label="{name}">\n')
            token.attrSet("class", "stack")
        yield token
        if token.type == "table_close":
            yield _html("</div>\n")


def _html(content: str) -> Token:
    return Token("html_block", "", 0, content=content)


def _text(inline: Token) -> str:
    """Return the text that a reader sees."""
    return "".join(child.content for child in inline.children or [])
