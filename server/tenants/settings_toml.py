"""The settings of a tenant as a TOML file: to be shown, edited and loaded as a whole.

A loaded file says everything: what it does not name is at its default afterwards. So defaults are shown as comments.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping

from importer.rules.settings import ImportSettings
from server.tenants.settings import TenantRefused, TenantSettings

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def to_toml(tenant: str, settings: TenantSettings, unfinished: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """All settings of `tenant`; `from_toml` gives back those that are not at their default.

    `unfinished` is what a person must complete first, by table: it stands there as comments.
    """
    left = dict(unfinished or {})
    lines = [*_head(tenant), *_lines(settings), *_tables(settings, left)]
    for path, pairs in left.items():
        lines += ["", f"# [{_dotted(path)}]", *_to_complete(pairs)]
    return "\n".join(lines) + "\n"


def in_toml(tenant: str, settings: ImportSettings, unfinished: Mapping[str, Mapping[str, str]]) -> str:
    """The same of settings that an import ran with."""
    assert isinstance(settings, TenantSettings)
    return to_toml(tenant, settings, unfinished)


def _dotted(path: str) -> str:
    return ".".join(_key(part) for part in path.split("."))


def _to_complete(pairs: Mapping[str, str]) -> Iterator[str]:
    """Comments that become settings without their mark."""
    yield "# To complete: replace each ? by the value that is meant, and remove the # before the line."
    yield from (f"# {pair}" for pair in _pairs(pairs))


def from_toml(text: str) -> dict[str, object]:
    """The settings a file names. Raises TenantRefused if it is not TOML."""
    if "\ufffd" in text:
        raise TenantRefused("bad_toml", "the file is not in UTF-8: save it as UTF-8")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TenantRefused("bad_toml", f"the file is not valid TOML: {error}") from None


def _head(tenant: str) -> list[str]:
    return [
        f"# Settings of {tenant}. A line with # before it shows a default.",
        f"# After a change: headcount tenant load {tenant} FILE",
        "",
    ]


def _is_table(value: object) -> bool:
    """Whether TOML wants `value` after all that fits on a line."""
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
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _quoted(value)


def _quoted(value: object) -> str:
    """JSON is TOML where there are only texts, numbers, truth values and lists; but for one character.

    Another is escaped too: bare, it is how `from_toml` knows a file that is not in UTF-8.
    """
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f").replace("\ufffd", "\\ufffd")
