"""docs/settings.md lists every setting with its type and default, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel, ByteSize, SecretStr
from pydantic.fields import FieldInfo

from server.settings import ServerSettings
from server.tenants.settings import TenantSettings, changed
from server.tenants.settings_toml import from_toml
from tests.support import ROOT

PAGE = ROOT / "docs" / "settings.md"
ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| (.+) \|$", re.MULTILINE)
WORDS = {
    ByteSize: "size",
    int: "whole number",
    float: "number",
    bool: "true or false",
    str: "text",
    Path: "path",
    SecretStr: "secret text",
}
OF_THEIR_OWN = {
    "allowed_networks": "networks",
    "http_trusted_proxies": "networks",
    "trusted_balancers": "networks",
    "unbanned_networks": "networks",
    "notify_email": "addresses",
    "hooks": "names",
    "hook_settings": "tables",
    "field_mapping": "table",
    "value_mapping": "tables",
    "custom_fields": "list of tables",
    "invitation_templates": "tables",
}


def type_of(annotation: Any) -> str:
    inner = [part for part in get_args(annotation) if part is not type(None)]
    if get_origin(annotation) is Literal:
        quoted = [f"`{value}`" for value in inner]
        return " or ".join([", ".join(quoted[:-1]), quoted[-1]]) if len(quoted) > 1 else quoted[0]
    return WORDS[annotation] if annotation in WORDS else type_of(inner[0])


def default_of(field: FieldInfo) -> str:
    if field.default is None or field.default in ((), {}):
        return "not set"
    shown = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
    if isinstance(field.default, tuple):
        shown = ",".join(str(network.network_address) for network in field.default)
    return f"`{shown}`"


def documented(heading: str) -> dict[str, tuple[str, str]]:
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = ROW.findall(section)
    assert all(what.strip() for *_, what in rows)
    return {name: (kind, default) for name, kind, default, _ in rows}


@pytest.mark.parametrize(
    ("heading", "model", "upper"),
    [("Server settings", ServerSettings, True), ("Tenant settings", TenantSettings, False)],
)
def test_the_page_and_the_code_name_the_same_settings(heading: str, model: type[BaseModel], upper: bool) -> None:
    expected = {
        name.upper() if upper else name: (OF_THEIR_OWN.get(name) or type_of(field.annotation), default_of(field))
        for name, field in model.model_fields.items()
    }
    assert documented(heading) == expected


def test_the_example_of_a_settings_file_can_be_loaded() -> None:
    section = PAGE.read_text(encoding="utf-8").split("\n## Tenant settings\n")[1]
    examples = [part.split("```")[0] for part in section.split("```toml\n")[1:]]
    settings, invitations = (changed(TenantSettings(), from_toml(example)) for example in examples)
    assert "{first_name}" in invitations.invitation_templates["en"].text
    assert settings.field_mapping["Termd"] == "deactivate"
    assert [field.key for field in settings.custom_fields] == ["employee_id", "shift"]
