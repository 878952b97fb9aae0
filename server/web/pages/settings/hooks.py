"""The settings of hooks in the form: a switch for each hook, and a control for each field of its model. Pure.

The controls are `hooks.<hook>` and `hook_settings.<hook>.<field>`. A control that is not sent, or not
edited, changes nothing. One that becomes empty, or has the default then, sets the field to its default.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from server.tenants.hook_settings import KnownHook, KnownHooks
from server.web.pages.settings.notation import NotReadable

HOOKS, VALUES = "hooks", "hook_settings"

ALL = "all hooks"
BROKEN = "(cannot be used now)"


class Sort(StrEnum):
    """The control of a field."""

    SWITCH = "switch"
    NUMBER = "number"
    LINE = "line"
    CHOICE = "choice"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class FieldFace:
    """A field of a hook's model. `options` are the choices, by the text that the form sends."""

    name: str
    label: str
    explanation: str
    sort: Sort
    default: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HookFace:
    """A hook as the form shows it. `about` is its path, and that it is broken."""

    name: str
    about: str
    fields: Sequence[FieldFace] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One control in the form. `id` is its name too."""

    id: str
    label: str
    explanation: str
    sort: Sort
    typed: str
    options: Sequence[str] = ()


Faces = Sequence[HookFace]


def faces_of(hooks: KnownHooks) -> Faces:
    """Return the hooks of the server with the fields of their models. A broken one has only its switch."""
    return [
        HookFace(name, _about(hook), list(_fields(hook.model)) if hook.model and not hook.error else ())
        for name, hook in hooks.items()
    ]


def _about(hook: KnownHook) -> str:
    return " ".join(filter(None, [hook.path, hook.error and BROKEN]))


def hooks_shown(faces: Faces, values: Mapping[str, Any]) -> dict[str, str]:
    """Return the content of the controls for settings with these values."""
    on = {f"{HOOKS}.{face.name}": _switch(_is_on(face.name, values[HOOKS])) for face in faces}
    texts = {
        f"{VALUES}.{face.name}.{each.name}": _text(
            each, values[VALUES].get(face.name, {}).get(each.name, each.default)
        )
        for face in faces
        for each in face.fields
    }
    return on | texts


def hooks_touched(faces: Faces, typed: Mapping[str, str], seen: Mapping[str, Any]) -> list[str]:
    """Return which of the two settings have a control that differs from the form for the values `seen`."""
    edited = hooks_edited(faces, typed, seen)
    return [setting for setting in (HOOKS, VALUES) if any(name.startswith(f"{setting}.") for name in edited)]


def hooks_read(faces: Faces, setting: str, typed: Mapping[str, str], seen: Mapping[str, Any]) -> Any:
    """Return the value of one of the two settings, as the form was sent. Raises NotReadable.

    A field whose control was not edited keeps its value as it is stored: a control of one line cannot show all. When
    another field of its hook is edited, a value whose field is gone is dropped: it has no control.
    """
    form = {**hooks_shown(faces, seen), **typed}
    if setting == HOOKS:
        on = [face.name for face in faces if form[f"{HOOKS}.{face.name}"] == "on"]
        known = {face.name for face in faces}
        return None if len(on) == len(faces) else [*on, *(name for name in seen[HOOKS] or () if name not in known)]
    found = {name: dict(table) for name, table in seen[VALUES].items()}
    edited = hooks_edited(faces, typed, seen)
    for face in faces:
        controls = {f"{VALUES}.{face.name}.{each.name}": each for each in face.fields}
        mine = {name: each for name, each in controls.items() if name in edited}
        if not mine:
            continue
        kept = {each.name for each in controls.values()} - {each.name for each in mine.values()}
        table = {name: value for name, value in found.get(face.name, {}).items() if name in kept}
        for name, each in mine.items():
            value = _value(face, each, form[name].strip())
            if value is not None and value != each.default:
                table[each.name] = value
        found[face.name] = table
    return found


def hooks_edited(faces: Faces, typed: Mapping[str, str], seen: Mapping[str, Any]) -> set[str]:
    """Return the controls that differ from the form for the values `seen`."""
    before = hooks_shown(faces, seen)
    return {name for name, text in before.items() if _plain(typed.get(name, text)) != _plain(text)}


def entries_of(faces: Faces, setting: str, typed: Mapping[str, str]) -> list[tuple[str, list[Entry]]]:
    """Return the controls of one of the two settings, in groups with their headings."""
    if setting == HOOKS:
        switches = [(f"{HOOKS}.{face.name}", face) for face in faces]
        return [("", [Entry(id_, face.name, face.about, Sort.SWITCH, typed.get(id_, "")) for id_, face in switches])]
    return [
        (face.name, [_entry(f"{VALUES}.{face.name}.{each.name}", each, typed) for each in face.fields])
        for face in faces
        if face.fields
    ]


def hooks_in_words(setting: str, value: Any) -> str:
    """Return the value of one of the two settings in words; "" if it has none."""
    if setting == HOOKS:
        return ALL if value is None else ", ".join(value)
    lines = (f"{hook}: {name} = {_json(each)}" for hook, table in value.items() for name, each in table.items())
    return "\n".join(lines)


def _entry(id_: str, each: FieldFace, typed: Mapping[str, str]) -> Entry:
    text = typed.get(id_, "")
    options = list(each.options)
    if options and text not in options:
        options.insert(0, text)
    return Entry(id_, each.label, each.explanation, each.sort, text, options)


def _is_on(name: str, on: Sequence[str] | None) -> bool:
    return on is None or name in on


def _plain(text: str) -> str:
    """Return the text without line ends: a control of one line loses them."""
    return text.replace("\r", "").replace("\n", "").strip()


def _switch(on: object) -> str:
    return "on" if on else "off"


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(each: FieldFace, value: Any) -> str:
    if each.sort is Sort.SWITCH:
        return _switch(value)
    if each.sort is Sort.JSON:
        return "" if value is None else json.dumps(value, ensure_ascii=False)
    return "" if value is None else _json(value)


def _value(face: HookFace, each: FieldFace, text: str) -> Any:
    """Return the value of a field; None: its default."""
    if each.sort is Sort.SWITCH:
        return text == "on"
    if not text:
        return None
    if each.sort is Sort.CHOICE:
        return each.options.get(text, text)
    if each.sort is Sort.NUMBER:
        return _number(text)
    if each.sort is Sort.JSON:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise NotReadable(f"{face.name}, {each.label}: must be JSON text") from None
    return text


def _number(text: str) -> int | float | str:
    """Return the number, or the text if it is not one: the hook then says what it expects."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _fields(model: type[BaseModel]) -> Iterator[FieldFace]:
    """Yield the fields of a model. A field that has no description is shown as JSON."""
    try:
        schema = model.model_json_schema()
        defaults = model().model_dump(mode="json", by_alias=True)
    except Exception:  # the model is code of the hook, and may have types that have no schema
        schema, defaults = {"properties": {name: {} for name in model.model_fields}}, {}
    for name, found in schema.get("properties", {}).items():
        about = _resolved(found, schema)
        label = str(found.get("title") or name)
        sort, options = _sort_of(about)
        yield FieldFace(name, label, str(found.get("description") or ""), sort, defaults.get(name), options)


def _resolved(found: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of a JSON schema that says the type: of a reference, or beside null."""
    kinds = [each for each in found.get("anyOf", ()) if each.get("type") != "null"]
    if len(kinds) == 1:
        return _resolved(kinds[0], schema)
    if "$ref" in found:
        return dict(schema.get("$defs", {}).get(str(found["$ref"]).rpartition("/")[2], {}))
    return found


def _sort_of(about: Mapping[str, Any]) -> tuple[Sort, dict[str, Any]]:
    if "enum" in about:
        return Sort.CHOICE, {_json(value): value for value in about["enum"]}
    sorts = {"boolean": Sort.SWITCH, "integer": Sort.NUMBER, "number": Sort.NUMBER, "string": Sort.LINE}
    return sorts.get(str(about.get("type")), Sort.JSON), {}
