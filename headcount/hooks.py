"""What a hook declares, gets and returns. Imports nothing of the server, so a hook's process stays small."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
REPORT_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
MARK = "__headcount_hook__"
"""The attribute of a decorated function that holds its `Declared`."""


class Refuse(Exception):  # noqa: N818 - the word of its users
    """Raised in `accept`: the upload fails with `message`, a sentence for the client, and the old file stays."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Retry(Exception):  # noqa: N818 - the word of its users
    """Raised in a hook: try this delivery again after `after_s` seconds. It counts among the five attempts.

    `why` is a sentence; the company reads it.
    """

    def __init__(self, after_s: float, why: str) -> None:
        super().__init__(after_s, why)
        self.after_s = after_s
        self.why = why


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a report about a place in the file. `line` counts from 1.

    A message of severity `error` makes the run `completed_with_errors`.
    """

    severity: Literal["error", "warning", "notice"]
    message: str
    code: str = "hook"
    line: int | None = None
    column: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What a hook says about a delivery: a sentence, counts by name, and messages. All of it is in the report."""

    message: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    messages: Sequence[Message] = ()


@dataclass(frozen=True, slots=True)
class Upload:
    """A complete file that has not landed yet, as `accept` sees it. `size` is in bytes."""

    tenant: str
    path: str
    name: str
    size: int
    _file: Path = field(repr=False)

    def open(self) -> BinaryIO:
        """Return the file, opened for reading. Raises OSError."""
        return self._file.open("rb")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One file for one attempt of a hook.

    `path` is absolute in the tenant's folder, and `name` its last part. `size` is in bytes, `sha256` is hexadecimal,
    `attempt` counts from 1. `settings` has the tenant's values for this hook: an instance of the hook's model, or
    None if it gave none.
    """

    tenant: str
    path: str
    name: str
    size: int
    sha256: str
    uploaded_at: datetime
    attempt: int
    settings: Any
    _copy: Path = field(repr=False)
    _reports: Path = field(repr=False)

    def open(self) -> BinaryIO:
        """Return the immutable copy of the file, opened for reading. Raises OSError."""
        return self._copy.open("rb")

    def report(self, name: str, content: bytes) -> None:
        """Put `content` into the company's folder as `/results/<hook>-<id>.<name>` when this attempt has ended.

        A second report of the same name replaces the first. Raises ValueError for a name other than 1 to 100 of
        `A-Z a-z 0-9 . _ -`, and OSError.
        """
        if not REPORT_NAME.fullmatch(name):
            raise ValueError(f"the name of a report is 1 to 100 letters, digits, dots, _ and -, not {name!r}")
        (self._reports / name).write_bytes(content)


@dataclass(frozen=True, slots=True)
class Declared:
    """All that `hook` was told about a function."""

    path: str
    name: str
    function: Callable[..., Any]
    accept: Callable[[Upload], object] | None
    accept_timeout_s: float
    timeout_s: float
    isolation: Literal["process"] | None
    max_memory_bytes: int | None
    settings: type[Any] | None


def hook(
    path: str,
    *,
    name: str,
    accept: Callable[[Upload], object] | None = None,
    accept_timeout_s: float = 10,
    timeout_s: float = 600,
    isolation: Literal["process"] | None = None,
    max_memory_bytes: int | None = None,
    settings: type[Any] | None = None,
) -> Callable[[Function], Function]:
    """Declare that a function is run for every file completed at `path`; return the function unchanged.

    To be completed: checks of every argument, with clear errors.
    """

    def declare(function: Function) -> Function:
        declared = Declared(
            path, name, function, accept, accept_timeout_s, timeout_s, isolation, max_memory_bytes, settings
        )
        setattr(function, MARK, declared)
        return function

    return declare
