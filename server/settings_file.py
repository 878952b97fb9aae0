"""The settings of a tenant as a TOML file: to be shown, edited and loaded as a whole.

A loaded file says everything: what it does not name is at its default afterwards. So defaults are shown as comments.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from server.tenant_settings import TenantRefused, TenantSettings

TABLES = ("field_mapping", "value_mapping", "custom_fields", "invitation_templates")
"""What TOML wants after all that fits on a line."""


def to_toml(tenant: str, settings: TenantSettings) -> str:
    """All settings of `tenant`; `from_toml` gives back those that are not at their default."""
    return "\n".join([*_head(tenant), *_lines(settings), *_tables(settings)]) + "\n"


def from_toml(text: str) -> dict[str, object]:
    """The settings a file names. Raises TenantRefused if it is not TOML."""
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


def _lines(settings: TenantSettings) -> Iterator[str]:
    defaults = TenantSettings()
    for name, value in settings.to_json().items():
        if name in TABLES:
            continue
        if value is None:
            yield f"# {name} is not set"
        else:
            yield f"{'# ' if getattr(settings, name) == getattr(defaults, name) else ''}{name} = {_value(value)}"


def _tables(settings: TenantSettings) -> Iterator[str]:
    chosen = settings.to_json()
    if chosen["field_mapping"]:
        yield from ("", "[field_mapping]", *_pairs(chosen["field_mapping"]))
    for name, values in chosen["value_mapping"].items():
        yield from ("", f"[value_mapping.{name}]", *_pairs(values))
    for language, template in chosen["invitation_templates"].items():
        yield from ("", f"[invitation_templates.{language}]", *_pairs(template))
    for field in chosen["custom_fields"]:
        facts = {name: value for name, value in field.items() if value}
        yield from ("", "[[custom_fields]]", *(f"{name} = {_value(value)}" for name, value in facts.items()))


def _pairs(table: Mapping[str, str]) -> Iterator[str]:
    return (f"{_value(theirs)} = {_value(ours)}" for theirs, ours in table.items())


def _value(value: Any) -> str:
    """JSON is TOML where there are only texts, numbers, truth values and lists; but for one character."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
