"""Hooks without Python: commands and URLs, from the file that HEADCOUNT_HOOKS_FILE names.

    [[hooks]]
    name = "invoices"
    path = "/invoices/*.csv"
    command = ["/usr/local/bin/store-invoices", "--table", "invoices"]

An entry that is wrong is listed with its error, and the others run. If the file cannot be read, or an entry has no
path, the paths of these hooks are known from the last start.
"""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from headcount.hooks import MAX_SECONDS, why_not_name, why_not_path
from server.guarded import Poster
from server.runs.outside.command import CommandHook
from server.runs.outside.posting import UrlHook
from server.runs.registry import RegisteredHook, Runnable
from server.runs.sources import Source
from server.setting_errors import nearest, place, reason
from server.settings import environment_of_programs
from server.signing import WebhookSecrets
from server.tenants.settings import WebAddress

MAY_HOLD_PASSWORDS = {"command", "url"}
"""Fields whose wrong values are not quoted: clients are told the error."""


class Outside(BaseModel):
    """One entry of the file: a command or a URL. Frozen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str
    path: str
    command: Annotated[list[str], Field(min_length=1)] | None = None
    url: WebAddress | None = None
    timeout_s: Annotated[float, Field(gt=0, le=MAX_SECONDS)] = 600


MakeOutside = Callable[[Outside, Path], Runnable | None]
"""Returns what runs an entry of the file in a folder."""


def not_run(entry: Outside, folder: Path) -> None:
    """Make nothing of an entry: a command only lists it."""


@dataclass(frozen=True, slots=True)
class Runners:
    """Makes what runs the entries. `allow_private`: URLs may be private addresses."""

    secrets: WebhookSecrets
    allow_private: bool

    def __call__(self, entry: Outside, folder: Path) -> Runnable:
        if entry.command is not None:
            return CommandHook(entry.command, environment_of_programs(), folder, entry.timeout_s)
        return UrlHook(entry.url or "", Poster(allow_private=self.allow_private), self.secrets, entry.timeout_s)


def read_hooks_file(file: Path | None, runnable: MakeOutside = not_run) -> list[Source]:
    """Return the hooks of a file as one source; none if there is no file. Blocks. Raises nothing."""
    if file is None:
        return []
    try:
        entries = _entries(tomllib.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        return [_broken(file, f"cannot be read: {error.strerror}")]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        return [_broken(file, f"is not valid TOML: {error}")]
    except _Wrong as error:
        return [_broken(file, str(error))]
    hooks = [_registered(number, entry, file, runnable) for number, entry in enumerate(entries, 1)]
    return [Source(file.name, str(file), hooks)]


class _Wrong(Exception):  # noqa: N818 - what is the case
    """The file or an entry is wrong; the message is the rest of a sentence."""


def _broken(file: Path, why: str) -> Source:
    return Source(file.name, str(file), error=f"{file.name} {why}")


def _entries(content: dict[str, Any]) -> list[Any]:
    for name in content:
        if name != "hooks":
            raise _Wrong(f"has {name}, which is unknown{nearest(name, ['hooks'])}")
    entries = content.get("hooks", [])
    if not isinstance(entries, list):
        raise _Wrong("must have its hooks as [[hooks]], in double brackets")
    return entries


def _registered(number: int, entry: Any, file: Path, runnable: MakeOutside) -> RegisteredHook:
    try:
        outside = _checked(entry, file)
    except _Wrong as error:
        given = entry if isinstance(entry, dict) else {}
        name, path = given.get("name"), given.get("path")
        known = name if isinstance(name, str) and why_not_name(name) is None else f"entry {number}"
        return RegisteredHook(known, path if why_not_path(path) is None else None, str(file), str(error))
    return RegisteredHook(outside.name, outside.path, str(file), runnable=runnable(outside, file.absolute().parent))


def _checked(entry: Any, file: Path) -> Outside:
    """Return an entry whose every value is right. Raises _Wrong."""
    try:
        outside = Outside.model_validate(entry)
    except ValidationError as error:
        raise _Wrong(_why(error)) from None
    why = why_not_name(outside.name) or why_not_path(outside.path)
    if why is None and (outside.command is None) is (outside.url is None):
        why = "an entry needs either command or url"
    if why is not None:
        raise _Wrong(why)
    if outside.command is None:
        return outside
    return outside.model_copy(update={"command": _found(outside.command, file)})


def _why(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    field = str(first["loc"][0]) if first["loc"] else "an entry"
    where = f"{field}, {inside}" if (inside := place(first)) else field
    similar = nearest(field, Outside.model_fields) if first["type"] == "extra_forbidden" else ""
    return f"{where} {reason(first, secret=field in MAY_HOLD_PASSWORDS)}{similar}"


def _found(command: list[str], file: Path) -> list[str]:
    """Return the command with its program; a path is relative to the folder of the file. Raises _Wrong."""
    if any("\0" in each for each in command):
        raise _Wrong("command cannot have a NUL character")
    program, *arguments = command
    if "/" in program:
        program = str(file.absolute().parent / program)
    if shutil.which(program, path=environment_of_programs()["PATH"]) is None:
        raise _Wrong(f"the program {program or 'that command begins with'} cannot be found or run")
    return [program, *arguments]
