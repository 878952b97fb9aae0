"""Output of commands: JSON with `--json`, else a table on a terminal, and plain columns in a pipe or file.

Control characters in values of files and clients are escaped, so that they cannot control the terminal.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import traceback
from collections.abc import AsyncIterable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, Literal

import click

from server.settings import colors_wanted, debugging

F = Callable[..., Any]
Severity = Literal["error", "warning", "notice"]
Advance = Callable[[float, str], None]
"""Shows the share that is done, 0 to 1, and a text. Any thread may call it."""

WIDE = "headcount.wide"
"""The key of `--wide` in the facts of a command."""

TIMES = {"at", "expires", "until"}
"""The names of moments that do not end in _at."""

_DONE, _DECIDE, _WRONG, _BUSY = "green", "yellow", "red", "cyan"
COLORS = {
    "active": _DONE,
    "completed": _DONE,
    "unchanged": _DONE,
    "sent": _DONE,
    "completed_with_errors": _DECIDE,
    "held": _DECIDE,
    "aborted": _WRONG,
    "failed": _WRONG,
    "given_up": _WRONG,
    "queued": _BUSY,
    "running": _BUSY,
}
"""The colors of states."""

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
    severity: Severity = "notice",
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


@contextmanager
def log_told() -> Iterator[None]:
    """Tell the warnings and errors that are logged in the context, and each upgrade of a database, as `tell` does."""
    handler, upgrades = _Told(), logging.getLogger("engine.sqlite.database")
    logging.getLogger().addHandler(handler)
    before = upgrades.level
    upgrades.setLevel(logging.INFO)
    try:
        yield
    finally:
        upgrades.setLevel(before)
        logging.getLogger().removeHandler(handler)


class _Told(logging.Handler):
    """Tell each line of the log; its traceback only at log level debug."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        why = f" ({type(error).__name__}: {error})" if error else ""
        severity: Severity = "notice"
        if record.levelno >= logging.WARNING:
            severity = "error" if record.levelno >= logging.ERROR else "warning"
        with suppress(OSError):  # the work that is logged goes on
            tell(
                harmless(record.getMessage().removesuffix(".") + why),
                str(getattr(record, "event", record.name)),
                severity,
            )
            if error and debugging():
                traceback.print_exception(error)


def json_option(command: F) -> F:
    """Add the option `--json` to a command, as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print only JSON.")(command)


def list_options(command: F) -> F:
    """Add the options `--json`, as the argument `as_json`, and `--wide`, for `print_list`, to a command."""
    help_ = "Print each row on one line, with times in UTC."
    return click.option("--wide", is_flag=True, expose_value=False, callback=_remember, help=help_)(
        json_option(command)
    )


def _remember(context: click.Context, _: click.Parameter, wide: bool) -> None:
    context.meta[WIDE] = wide


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


def print_list(
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str],
    *,
    as_json: bool,
    empty: str,
    wrapped: Collection[str] = (),
) -> None:
    """Print `rows` as JSON, or as a table of `columns` (key -> heading). Without rows print `empty` on stderr.

    On a terminal, only the texts of the columns `wrapped` are wrapped.
    """
    if as_json:
        print_json(list(rows))
    elif not rows:
        click.echo(empty, err=True)
    else:
        cells = [[shown_fact(key, row[key]) for key in columns] for row in rows]
        print_table(cells, list(columns.values()), wrapped=[list(columns).index(key) for key in wrapped])


def print_table(rows: Sequence[Sequence[str]], headings: Sequence[str], *, wrapped: Collection[int] = ()) -> None:
    """Print a table on stdout: laid out for a terminal, else plain columns that are never cut or wrapped."""
    if not for_a_reader():
        widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
        for row in (headings, *rows):
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    # Imported here: slow, and needed only on a terminal.
    from server.cli.layout import table

    width = shutil.get_terminal_size().columns
    for line in table(rows, headings, width, wrapped=wrapped, paint=painted, bold=_bold):
        click.echo(line)


def for_a_reader() -> bool:
    """Return whether stdout is a terminal, and `--wide` is not given."""
    context = click.get_current_context(silent=True)
    return sys.stdout.isatty() and not (context and context.meta.get(WIDE))


def painted(text: str) -> str:
    """Return the name of a state in its color; another text, or any text where there are no colors, as it is."""
    return click.style(text, fg=COLORS[text]) if text in COLORS and _has_colors() else text


def _bold(text: str) -> str:
    return click.style(text, bold=True) if _has_colors() else text


def _has_colors() -> bool:
    return sys.stdout.isatty() and colors_wanted()


def shown_fact(name: str, value: object) -> str:
    """Return a fact on one line; a moment in local time, to the minute, for a reader at a terminal."""
    if (name.endswith("_at") or name in TIMES) and isinstance(value, str) and for_a_reader():
        return local_time(value)
    return shown(value)


def local_time(text: str) -> str:
    """Return a moment (RFC 3339) in local time, to the minute; a date, or any other text, as it is."""
    if "T" not in text:
        return text
    try:
        return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError):
        return text


def print_thing(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one thing as JSON, or one line for each of its facts."""
    if as_json:
        print_json(facts)
        return
    width = max(map(len, facts)) + 2
    for name, value in facts.items():
        click.echo(f"{name.replace('_', ' ').ljust(width)}{painted(shown_fact(name, value))}")


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


@contextmanager
def progress() -> Iterator[Advance]:
    """Show a bar on stderr until the context ends, then remove it: it never shows an old state.

    Without a terminal, nothing is shown.
    """
    if not sys.stderr.isatty():
        yield lambda _share, _text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1)
        yield lambda share, text: bar.update(task, completed=share, description=text)
