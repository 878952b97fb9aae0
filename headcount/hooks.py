"""The declaration of a hook, and the values that it gets and returns.

Imports nothing of the server, so a hook's process stays small.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
REPORT_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
OWN_NAME = "sync_users"
"""The hook that comes with Headcount."""

MAX_PARTS = 64
MAX_NAME_BYTES = 255
"""The limits of a path that a client can upload to."""

MAX_SECONDS = 86_400
MIN_MEMORY_BYTES = 64 * 1024 * 1024
"""Python does not start in much less."""

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
    """The answer of a hook to a delivery: a sentence, counts by name, and messages. All of it is in the report."""

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

    `id` is that of the run: the same in each attempt, and of one tenant no other upload has it. `path` is absolute in
    the tenant's folder, and `name` its last part. `size` is in bytes, `sha256` is hexadecimal, `attempt` counts from
    1. `settings` has the tenant's values for this hook: an instance of the hook's model, or
    None if it gave none.
    """

    tenant: str
    id: int
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
        `A-Z a-z 0-9 . _ -`, for `json`, which is the report of the run itself, and OSError.
        """
        if name == "json":
            raise ValueError("json is the name of the report that the server writes; choose another")
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

    The function takes a `Delivery`, and returns a `Result` or None. A plain function runs in a process of its own. An
    async one runs in the server, which trusts it; `isolation="process"` gives it a process too.

    - `path` is absolute in a company's folder. `*` stands for any characters within one name: `/invoices/*.csv`. It
      does not stand for names of unfinished uploads. These begin with `.` or `~`, or end in `.filepart`, `.part`,
      `.partial`, `.tmp` or `~`.
    - `name` is 1 to 31 of `a-z 0-9 _`, a letter first. No other hook of the server may have it.
    - `accept` gets the complete file as an `Upload` while the client waits. It refuses the file by raising `Refuse`.
    - `timeout_s` and `accept_timeout_s` are the most seconds that one call may take.
    - `max_memory_bytes` limits the memory of the process.
    - `settings` is a pydantic model. A company sets its fields, so each needs a default. They are not secret.

    Raises ValueError if an argument is not valid, or if what is decorated is not a function of one argument.
    """
    reasons = (
        why_not_path(path),
        why_not_name(name),
        None if accept is None else _why_not_called(accept, "accept", "the upload"),
        _why_not_seconds("accept_timeout_s", accept_timeout_s),
        _why_not_seconds("timeout_s", timeout_s),
        None if isolation in (None, "process") else f'isolation must be "process" or None, not {isolation!r}',
        _why_not_memory(max_memory_bytes),
        None if settings is None else _why_not_settings(settings),
    )
    _refuse(name, *reasons)

    def declare(function: Function) -> Function:
        _refuse(name, _why_not_function(function, limited=max_memory_bytes is not None and isolation is None))
        declared = Declared(
            path, name, function, accept, accept_timeout_s, timeout_s, isolation, max_memory_bytes, settings
        )
        setattr(function, MARK, declared)
        return function

    return declare


def why_not_name(name: object) -> str | None:
    """Return why a hook cannot have this name; None if it can."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return f"name must be 1 to 31 of a-z, 0-9 and _, a letter first, not {name!r}"
    if name == OWN_NAME:
        return f"the name {OWN_NAME} belongs to Headcount; choose another"
    return None


def why_not_path(path: object) -> str | None:
    """Return why a hook cannot have this path; None if it can."""
    if not isinstance(path, str) or not path.startswith("/"):
        return f"path must begin with /, such as /invoices/*.csv, not {path!r}"
    parts = path[1:].split("/")
    if not all(parts) or {".", ".."} & {*parts}:
        return f"path must be a file without empty parts, . and .., such as /invoices/*.csv, not {path!r}"
    if not path.isprintable():
        return f"path must be printable text, not {path!r}"
    if "**" in path:
        return f"** has no meaning in a path: * stands for any characters within one name, not in {path!r}"
    if parts[0] == "results":
        return "path cannot be in /results, because only the server writes there"
    if len(parts) > MAX_PARTS or max(len(part.encode()) for part in parts) > MAX_NAME_BYTES:
        return f"path must have at most {MAX_PARTS} parts of at most {MAX_NAME_BYTES} bytes"
    return None


def _refuse(name: object, *reasons: str | None) -> None:
    """Raise ValueError with the first reason, if there is one."""
    if found := next(filter(None, reasons), None):
        raise ValueError(f"hook {name}: {found}" if why_not_name(name) is None else f"hook: {found}")


def _why_not_seconds(argument: str, value: object) -> str | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MAX_SECONDS:
        return None
    return f"{argument} must be a number of seconds above 0, at most {MAX_SECONDS:,}, not {value!r}"


def _why_not_memory(value: object) -> str | None:
    if value is None or (type(value) is int and value >= MIN_MEMORY_BYTES):
        return None
    return f"max_memory_bytes must be a whole number of bytes, at least {MIN_MEMORY_BYTES:,} (64 MiB), not {value!r}"


def _why_not_settings(model: object) -> str | None:
    fields = getattr(model, "model_fields", None) if isinstance(model, type) else None
    if not isinstance(fields, Mapping):
        return f"settings must be a class that extends pydantic.BaseModel, not {model!r}"
    required = [name for name, each in fields.items() if each.is_required()]
    return f"the field {required[0]} of settings needs a default: a company may not set it" if required else None


def _why_not_function(function: object, *, limited: bool) -> str | None:
    """Return why `function` cannot be a hook. `limited`: its memory is, and no isolation was chosen."""
    if not inspect.isfunction(function):
        return f"decorate a function, not {function!r}"
    if hasattr(function, MARK):
        return f"{function.__name__} is already the hook {getattr(function, MARK).name}; write a second function"
    if limited and inspect.iscoroutinefunction(function):
        return 'max_memory_bytes limits a process: add isolation="process", or use a plain function'
    return _why_not_called(function, function.__name__, "the delivery")


def _why_not_called(function: object, called: str, argument: str) -> str | None:
    """Return why `function` cannot be called with one argument; None if it can, or if Python cannot say."""
    if not callable(function):
        return f"{called} must be a function, not {function!r}"
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return f"{called} must return its result, so it cannot contain yield"
    try:
        inspect.signature(function).bind(argument)
    except TypeError:
        return f"{called} must take one argument, {argument}"
    except ValueError:  # a function in C that does not say what it takes
        return None
    return None
