"""The settings of a tenant as a TOML file, to show, edit and load.

Loading a file resets every setting that it does not name. Therefore the file shows defaults as comments.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import datetime

from ground.moments import utc_now
from importer.rules.settings import ImportSettings
from server.tenants.pauses import pause_of
from server.tenants.settings import TenantRefused, TenantSettings

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def to_toml(
    tenant: str,
    settings: TenantSettings,
    now: datetime,
    unfinished: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """Return all settings of `tenant` as TOML; `from_toml` reads those that are not at their default.

    A pause that has ended at `now` is left out, because no tenant can be set to it. `unfinished` holds, by table,
    entries that a person must complete first. They are written as comments.
    """
    if settings.paused_until and pause_of(settings, now) is None:
        settings = settings.model_copy(update={"paused_until": None, "paused_because": None})
    left = dict(unfinished or {})
    lines = [*_head(tenant), *_lines(settings), *_tables(settings, left)]
    for path, pairs in left.items():
        lines += ["", f"# [{_dotted(path)}]", *_to_complete(pairs)]
    return "\n".join(lines) + "\n"


def in_toml(tenant: str, settings: ImportSettings, unfinished: Mapping[str, Mapping[str, str]]) -> str:
    """Return the settings that an import ran with, as `to_toml` does."""
    assert isinstance(settings, TenantSettings)
    return to_toml(tenant, settings, utc_now(), unfinished)


def _dotted(path: str) -> str:
    return ".".join(_key(part) for part in path.split("."))


def _to_complete(pairs: Mapping[str, str]) -> Iterator[str]:
    """Yield comment lines that become settings once their `#` is removed."""
    yield "# To complete: replace each ? with the right value, and remove the # at the start of the line."
    yield from (f"# {pair}" for pair in _pairs(pairs))


def from_toml(text: str) -> dict[str, object]:
    """Return the settings that the file names. Raises TenantRefused if it is not valid TOML in UTF-8."""
    if "\ufffd" in text:
        raise TenantRefused("bad_toml", "the file is not UTF-8 text. Save it as UTF-8")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TenantRefused("bad_toml", f"the file is not valid TOML: {error}") from None


def _head(tenant: str) -> list[str]:
    return [
        f"# Settings of {tenant}. A line that starts with # shows a default.",
        f"# To apply a change: headcount tenant load {tenant} FILE",
        "",
    ]


def _is_table(value: object) -> bool:
    """Return whether `value` is a TOML table, which must come after all plain values."""
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, dict) for each in value))


def _lines(settings: TenantSettings) -> Iterator[str]:
    defaults = TenantSettings()
    for name, value in settings.to_json().items():
        is_default = getattr(settings, name) == getattr(defaults, name)
        if value is None:
            yield f"# {name} is not set"
        elif is_default and isinstance(getattr(settings, name), dict | tuple):
            yield f"# {name} is empty"
        elif not _is_table(value):
            yield f"{'# ' if is_default else ''}{name} = {_value(value)}"


def _tables(settings: TenantSettings, unfinished: dict[str, Mapping[str, str]]) -> Iterator[str]:
    for name, value in settings.to_json().items():
        if isinstance(value, dict):
            yield from _table(name, value, unfinished)
        elif _is_table(value):
            for each in value:
                yield from ("", f"[[{name}]]", *_pairs({key: inner for key, inner in each.items() if inner}))


def _table(path: str, table: Mapping[str, object], unfinished: dict[str, Mapping[str, str]]) -> Iterator[str]:
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    if plain:
        yield from ("", f"[{path}]", *_pairs(plain))
        if path in unfinished:
            yield from _to_complete(unfinished.pop(path))
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _table(f"{path}.{_key(key)}", value, unfinished)


def _pairs(table: Mapping[str, object]) -> Iterator[str]:
    return (f"{_key(key)} = {_value(value)}" for key, value in table.items() if value is not None)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _quoted(key)


def _value(value: object) -> str:
    if isinstance(value, str) and "\n" in value:
        lines = "\n".join(_quoted(line)[1:-1] for line in value.split("\n"))
        return f'"""\n{lines}"""'
    return _inline(value)


def _inline(value: object) -> str:
    """Write a value on one line; a table in it as an inline table."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_inline(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _quoted(value)


def _quoted(value: object) -> str:
    """Write text, a number, a boolean or a list as TOML. JSON differs only in U+007F, which TOML must escape.

    U+FFFD is escaped too: `from_toml` takes a bare one as the sign of a file that is not UTF-8.
    """
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f").replace("\ufffd", "\\ufffd")
