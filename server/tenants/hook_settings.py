"""A tenant's settings of hooks: which are on, and the values of their models.

The model of a hook is code of its author. It is asked only about values that change: a hook that cannot be used now,
or whose model has changed, keeps the values that it has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, JsonValue, ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from headcount.hooks import NAME, OWN_NAME
from server.setting_errors import Quoted, nearest, place, reason


@dataclass(frozen=True, slots=True)
class KnownHook:
    """A hook of the server. `model` is that of its settings; None: it takes none.

    `error` is why it cannot be used now. Then its path may be unknown.
    """

    path: str | None
    model: type[BaseModel] | None = None
    error: str | None = None


KnownHooks = Mapping[str, KnownHook]
"""The hooks of the server by name, without `sync_users`: those that can be used, and the broken ones."""

SETTINGS = ("hooks", "hook_settings")
"""The settings that are about hooks."""

MAX_BYTES = 64 * 1024
"""Most bytes of all values of one tenant, as JSON."""


def _names(value: object) -> object:
    """Return names of hooks, from a list or from text separated by commas. No name means only the hook of imports."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise ValueError("must be names of hooks separated by commas")
    names = dict.fromkeys(name for part in parts if (name := str(part).strip()))
    for name in names:
        _check_name(name)
    return tuple(names) or (OWN_NAME,)


def _values(value: object) -> object:
    """Return a table for each hook, of JSON values without null. Accepts JSON text, and dates and times of TOML."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("must be JSON text") from None
    if not isinstance(value, dict):
        return value
    try:
        plain = to_jsonable_python(value)
        size = len(json.dumps(plain, allow_nan=False))
    except (ValueError, RecursionError, PydanticSerializationError):
        raise ValueError("must be values of JSON") from None
    if size > MAX_BYTES:
        raise ValueError(f"must have at most {MAX_BYTES:,} bytes together")
    for name in plain:
        _check_name(name)
    tables = {name: _without_nulls(table) for name, table in plain.items() if table is not None}
    return {name: table for name, table in tables.items() if table != {}}


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise Quoted(f"“{name}” is not the name of a hook, such as invoices")


def _without_nulls(value: Any) -> Any:
    """Return a value without the null entries of its tables and lists: TOML has none."""
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value if each is not None]
    return value


HookNames = Annotated[tuple[str, ...], BeforeValidator(_names)]
HookValues = Annotated[dict[str, dict[str, JsonValue]], BeforeValidator(_values)]


def need_hooks(changes: Mapping[str, object]) -> bool:
    """Return whether the hooks of the server must be known for `changes`: a command has to import them first."""
    return any(changes.get(name) for name in SETTINGS)


def unknown_hooks(before: tuple[str, ...] | None, after: tuple[str, ...] | None, known: KnownHooks) -> str | None:
    """Return why `after` cannot be the hooks that are on, if it names a new one that does not exist."""
    for name in after or ():
        if name not in (before or ()) and name != OWN_NAME and name not in known:
            return _no_hook(name, known)
    return None


def wrong_values(
    before: Mapping[str, Mapping[str, object]], after: Mapping[str, Mapping[str, object]], known: KnownHooks
) -> str | None:
    """Return what is wrong with the first value of `after` that its hook refuses; unchanged tables are not read."""
    changed = {name: values for name, values in after.items() if before.get(name) != values}
    return next((f"{name}{why}" for name, values in changed.items() for why in _wrong(name, values, known)), None)


def _wrong(name: str, values: Mapping[str, object], known: KnownHooks) -> Iterator[str]:
    if name not in known:
        yield f": {_no_hook(name, known)}"
    elif known[name].error is not None:
        yield ": this hook cannot be used now, so nothing can check its values"
    elif (model := known[name].model) is None:
        yield ": this hook has no settings"
    else:
        yield from _refused_by(model, values)


def _refused_by(model: type[BaseModel], values: Mapping[str, object]) -> Iterator[str]:
    try:
        model.model_validate(values, extra="forbid")
    except ValidationError as error:
        for details in error.errors(include_url=False):
            where = place({**details, "loc": ("", *details["loc"])})
            yield f", {where}: {reason(details)}" if where else f": {reason(details)}"
    except Exception as error:  # the validators of the model are code of the hook
        yield f": the hook cannot check these values ({type(error).__name__})"


def _no_hook(name: str, known: KnownHooks) -> str:
    return f"there is no hook {name}{nearest(name, [*known, OWN_NAME])}"
