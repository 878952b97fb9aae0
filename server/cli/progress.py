"""A progress bar on stderr, on a terminal alone. It is removed at the end, so it never shows an old state."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[float, str], None]
"""Shows the share that is done, 0 to 1, and a text. Any thread may call it."""


@contextmanager
def progress() -> Iterator[Advance]:
    """Show a bar until the context ends. Without a terminal, nothing is shown."""
    if not sys.stderr.isatty():
        yield lambda _share, _text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1)
        yield lambda share, text: bar.update(task, completed=share, description=text)
