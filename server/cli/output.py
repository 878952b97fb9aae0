"""Output of commands: JSON with `--json`, else a table on a terminal, and plain columns in a pipe or file.

Control characters in values of files and clients are escaped, so that they cannot control the terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from typing import Any, Literal

import click

F = Callable[..., Any]

_PREFIXES = {"error": "Error: ", "warning": "Warning: ", "notice": ""}


class _Stderr:
    """The form of the lines on stderr, of this command."""

    as_json = False


def lines_as_json(as_json: bool) -> None:
    """Let `tell` print JSON, or text, from now on."""
    _Stderr.as_json = as_json


def lines_are_json() -> bool:
    """Return whether `tell` prints JSON."""
    return _Stderr.as_json


def tell(
    sentence: str,
    code: str,
    severity: Literal["error", "warning", "notice"] = "notice",
    errors: Mapping[str, str] | None = None,
) -> None:
    """Print a sentence on stderr; with `--json` as one JSON object on one line, with `code`.

    `errors` has a sentence for each of several wrong values, by name.
    """
    if _Stderr.as_json:
        listed = [{"name": name, "detail": detail} for name, detail in (errors or {}).items()]
        line = {"severity": severity, "code": code, "message": sentence} | ({"errors": listed} if listed else {})
        click.echo(json.dumps(line), err=True)
        return
    click.echo(f"{_PREFIXES[severity]}{sentence}", err=True)
    for name, detail in (errors or {}).items():
        click.echo(f"  {name}: {detail}" if name else f"  {detail}", err=True)


def json_option(command: F) -> F:
    """Add the option `--json` to a command, as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print only JSON.")(command)


def print_json(data: object) -> None:
    """Print `data` on stdout as one JSON document."""
    readable = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    click.echo(json.dumps(data, indent=2, ensure_ascii=not readable))


async def print_json_pages(pages: AsyncIterable[Sequence[object]]) -> None:
    """Print the items of all `pages` as one JSON array, with one page in memory at a time."""
    readable = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    before = "["
    async for page in pages:
        for thing in page:
            click.echo(f"{before}\n  {json.dumps(thing, ensure_ascii=not readable)}", nl=False)
            before = ","
    click.echo("[]" if before == "[" else "\n]")


def print_list(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, as_json: bool, empty: str) -> None:
    """Print `rows` as JSON, or as a table of `columns` (key -> heading). Without rows print `empty` on stderr."""
    if as_json:
        print_json(list(rows))
    elif not rows:
        click.echo(empty, err=True)
    else:
        print_table([[shown(row[key]) for key in columns] for row in rows], list(columns.values()))


def print_table(rows: Sequence[Sequence[str]], headings: Sequence[str]) -> None:
    """Print a table on stdout: drawn on a terminal, else plain columns that are never cut or wrapped."""
    if not sys.stdout.isatty():
        widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
        for row in (headings, *rows):
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    # Imported here: slow, and needed only on a terminal.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(table)


def print_thing(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one thing as JSON, or one line for each of its facts."""
    if as_json:
        print_json(facts)
        return
    width = max(map(len, facts)) + 2
    for name, value in facts.items():
        click.echo(f"{name.replace('_', ' ').ljust(width)}{shown(value)}")


def shown(value: object) -> str:
    """Return `value` on one line, harmless to a terminal; an empty value is a dash."""
    if value is None or value == "" or value == []:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {shown(inner)}" for name, inner in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(shown(inner) for inner in value)
    return harmless(str(value))


def harmless(text: str) -> str:
    """Return `text` with escapes for characters that are not printable."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
