"""Find the texts that people read in a file: prose, pages, messages, docstrings, comments and test names."""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["prose", "page", "label", "message", "docstring", "comment", "test name"]
"""A label is the whole content of one element, attribute or string; a page's other texts may run over several."""

LABELLED = ("title", "placeholder", "aria-label", "alt", "value", "label")
INLINE = r"</?(?:b|strong|em|a|code|span|time|i|kbd|abbr)\b[^>]*>"
SQL = re.compile(r"\s*(?:SELECT|INSERT|UPDATE|DELETE|CREATE|WITH|PRAGMA|DROP|ALTER)\b")
WORD_LIST = re.compile(r"\s*[^\W_A-Z]+(?:\s+[^\W_A-Z]+){24,}\s*")
"""Words that are matched, not read: many, without any punctuation."""

STRING_OR_COMMENT = re.compile(
    r"""\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}(?:[^\\]|\\.)*?'{3}|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|\#[^\n]*""",
    re.DOTALL,
)
"""In Python."""

SENTENCE_END = re.compile(r"(?<=[.!?:])\s+(?=[A-Z“\"`(])")
VALUE = "X"
"""The text in place of a value or code."""


@dataclass(frozen=True)
class Text:
    """One text, with values and code replaced by `X`."""

    line: int
    kind: Kind
    text: str

    def sentences(self) -> list[str]:
        """Return the sentences; a line break ends one only where texts are not wrapped, in messages."""
        lines = self.text.splitlines() if self.kind == "message" else [self.text]
        parts = (part for line in lines for part in SENTENCE_END.split(" ".join(line.split())))
        return [part.strip(" -*|\"'“”") for part in parts if part.strip()]


def texts_of(file: Path, *, messages: bool = True) -> Iterator[Text]:
    """Return the texts of a file of Markdown, HTML, JavaScript or Python; none of another kind of file.

    Without `messages`, those of a file of Python may be left out: finding them takes long.
    """
    if file.suffix == ".py":
        return of_python(file.read_text(encoding="utf-8"), messages=messages)
    reader = READERS.get(file.suffix)
    return reader(file.read_text(encoding="utf-8")) if reader else iter(())


def of_markdown(source: str) -> Iterator[Text]:
    """Yield paragraphs, list items, headings and table cells; code blocks are left out."""
    paragraph: list[str] = []
    fenced, start = False, 0
    for number, line in enumerate([*source.splitlines(), ""], 1):
        if line.lstrip().startswith("```"):
            fenced, line = not fenced, ""
        if fenced or (line.startswith("    ") and not paragraph):
            line = ""
        opens = re.match(r"#|\||\s*(?:[-*]|\d+[.)]) ", line)
        if paragraph and (opens or not line.strip()):
            yield Text(start, "prose", _without_marks(" ".join(paragraph)))
            paragraph = []
        if line.startswith("|"):
            for cell in re.split(r"(?<!\\)\|", line.strip("|")):
                yield Text(number, "prose", _without_marks(cell))
        elif line.strip():
            start = start if paragraph else number
            paragraph.append(line.strip())


def of_template(source: str) -> Iterator[Text]:
    """Yield what a browser shows of a template, and the strings inside its expressions."""
    source = re.sub(r"{#.*?#}|<(script|style)\b.*?</\1>", _blank_lines, source, flags=re.DOTALL)
    for expression in re.finditer(r"{[{%].*?[}%]}", source, re.DOTALL):
        for literal in re.finditer(r"\"([^\"<>]*)\"|'([^'<>]*)'", expression[0]):
            text = literal[1] or literal[2] or ""
            if re.search(r"[a-z]{2} |^[A-Z][a-z]", text):
                yield Text(_line(source, expression.start() + literal.start()), "label", text)
    source = re.sub(r"{{.*?}}", lambda found: VALUE + _blank_lines(found), source, flags=re.DOTALL)
    source = re.sub(r"{%.*?%}", lambda found: " " + _blank_lines(found), source, flags=re.DOTALL)
    for attribute in re.finditer(rf"\b(?:{'|'.join(LABELLED)})=\"([^\"]*[a-z]{{2}}[^\"]*)\"", source):
        yield Text(_line(source, attribute.start()), "label", html.unescape(attribute[1]))
    source = re.sub(INLINE, _blank_lines, source)
    source = re.sub(r"<[^>]*>", lambda tag: f"<{_blank_lines(tag)}>", source)
    for shown in re.finditer(r"[^<>]+", source):
        text = " ".join(html.unescape(shown[0]).split())
        if re.search("[A-Za-z]", text):
            first = shown.start() + len(shown[0]) - len(shown[0].lstrip())
            yield Text(_line(source, first), "label", text)


def of_script(source: str) -> Iterator[Text]:
    """Yield the comments of a script, and its strings of more than one word."""
    for found in re.finditer(r"/\*(.*?)\*/|(?<![:\"'])//([^\n]*)", source, re.DOTALL):
        yield Text(_line(source, found.start()), "comment", re.sub(r"\n\s*\*?", " ", found[1] or found[2] or ""))
    for found in re.finditer(r"\"([^\"\n]*[a-z]{2} [^\"\n]*)\"|`([^`\n]*[a-z]{2} [^`\n]*)`", source):
        yield Text(_line(source, found.start()), "message", re.sub(r"\${[^}]*}", VALUE, found[1] or found[2] or ""))


def of_python(source: str, *, messages: bool = True) -> Iterator[Text]:
    """Yield docstrings, messages (strings of more than one word), test names and comments."""
    tree = ast.parse(source)
    docstrings = set()
    nodes = list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            docstrings.add(node.value)
            yield Text(node.lineno, "docstring", re.sub(r"``?[^`]*``?", VALUE, node.value.value))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield Text(node.lineno, "test name", node.name)
    if messages:
        yield from _messages(nodes, docstrings)
    yield from _comments(source)


def _messages(nodes: list[ast.AST], docstrings: set[ast.Constant]) -> Iterator[Text]:
    inner: set[ast.AST] = set(docstrings)
    for node in nodes:
        if node in inner or not isinstance(node, ast.expr) or (text := _joined(node)) is None:
            continue
        inner.update(ast.walk(node))
        if re.search("[a-z]{2} [a-z]{2}", text) and not SQL.match(text) and not WORD_LIST.fullmatch(text):
            yield Text(node.lineno, "message", text)
        elif re.match("[A-Z][a-z]", text):
            yield Text(node.lineno, "label", text)


def _joined(node: ast.expr) -> str | None:
    """Return the text of a string expression, or None for another expression."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else VALUE for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _joined(node.left), _joined(node.right)
        return None if left is None and right is None else (left or VALUE) + (right or VALUE)
    return None


def _comments(source: str) -> Iterator[Text]:
    """Yield comments, those of adjacent lines as one."""
    lines: list[str] = []
    start = 0
    for number, comment in _each_comment(source):
        if re.match(r"#\s*(?:noqa|type:)", comment):
            continue
        if lines and number != start + len(lines):
            yield Text(start, "comment", " ".join(lines))
            lines = []
        start = start if lines else number
        lines.append(comment.lstrip("# "))
    if lines:
        yield Text(start, "comment", " ".join(lines))


def _each_comment(source: str) -> Iterator[tuple[int, str]]:
    """Yield each comment with the number of its line. Python's own tokenizer takes ten times as long."""
    number, read = 1, 0
    for found in STRING_OR_COMMENT.finditer(source):
        if found[0].startswith("#"):
            number, read = number + source.count("\n", read, found.start()), found.start()
            yield number, found[0]


def _without_marks(text: str) -> str:
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"`[^`]*`", VALUE, text))
    return re.sub(r"[*_#>|]+", " ", text).strip()


def _blank_lines(found: re.Match[str]) -> str:
    """Keep the numbers of the lines below."""
    return "\n" * found[0].count("\n")


def _line(source: str, position: int) -> int:
    return source.count("\n", 0, position) + 1


READERS = {".md": of_markdown, ".html": of_template, ".js": of_script}
