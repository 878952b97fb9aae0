"""The settings of hooks in the form: a switch for each hook, and a control for each field of its model."""

from __future__ import annotations

from datetime import date
from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from server.tenants.hook_settings import KnownHook
from server.tenants.settings import TenantSettings, changed
from server.web.pages.settings.form import put_together, shown, touched, wanted
from server.web.pages.settings.hooks import Sort, entries_of, faces_of, hooks_in_words
from server.web.pages.settings.items import groups_of

Form = dict[str, str]


class Size(Enum):
    SMALL = 1
    LARGE = 2


class Part(BaseModel):
    name: str = ""


class Invoices(BaseModel):
    table: str = Field("invoices", title="Name of the table", description="A table of the database.")
    limit: int | None = None
    share: float = 0.5
    strict: bool = False
    currency: Literal["EUR", "CHF"] = "EUR"
    size: Size = Size.SMALL
    since: date | None = None
    columns: list[str] = ["number"]
    part: Part = Part()


class Odd:
    """A type without a JSON schema."""


class Strange(BaseModel):
    model_config = {"arbitrary_types_allowed": True}

    odd: Odd | None = None


HOOKS = {
    "invoices": KnownHook("/invoices/*.csv", Invoices),
    "scans": KnownHook("/scans/*", None),
    "strange": KnownHook("/strange", Strange),
}
FACES = faces_of(HOOKS)


def values(**settings: Any) -> dict[str, Any]:
    return changed(TenantSettings(), settings, hooks=HOOKS).to_json()


def changes(form: Form, **settings: Any) -> dict[str, Any]:
    seen = values(**settings)
    found = wanted({**shown(seen, FACES), **form}, seen, FACES)
    assert found.unreadable == {}
    return found.changes


def test_each_field_has_the_control_of_its_type() -> None:
    assert [(each.name, each.sort) for each in FACES[0].fields] == [
        ("table", Sort.LINE),
        ("limit", Sort.NUMBER),
        ("share", Sort.NUMBER),
        ("strict", Sort.SWITCH),
        ("currency", Sort.CHOICE),
        ("size", Sort.CHOICE),
        ("since", Sort.LINE),
        ("columns", Sort.JSON),
        ("part", Sort.JSON),
    ]
    first = FACES[0].fields[0]
    assert (first.label, first.explanation) == ("Name of the table", "A table of the database.")
    assert [(face.name, face.about, [each.sort for each in face.fields]) for face in FACES[1:]] == [
        ("scans", "/scans/*", []),
        ("strange", "/strange", [Sort.JSON]),
    ]


def test_the_form_shows_the_values_and_the_defaults() -> None:
    form = shown(values(hooks=["invoices"], hook_settings={"invoices": {"table": "bills", "limit": 3}}), FACES)
    assert {name: text for name, text in form.items() if name.startswith("hook")} == {
        "hooks.invoices": "on",
        "hooks.scans": "off",
        "hooks.strange": "off",
        "hook_settings.invoices.table": "bills",
        "hook_settings.invoices.limit": "3",
        "hook_settings.invoices.share": "0.5",
        "hook_settings.invoices.strict": "off",
        "hook_settings.invoices.currency": "EUR",
        "hook_settings.invoices.size": "1",
        "hook_settings.invoices.since": "",
        "hook_settings.invoices.columns": '["number"]',
        "hook_settings.invoices.part": '{"name": ""}',
        "hook_settings.strange.odd": "",
    }


EVERY = {
    "table": "bills\nof two lines",
    "limit": 3,
    "share": 1.5,
    "strict": True,
    "currency": "CHF",
    "size": 2,
    "since": "2026-03-31",
    "columns": ["a", "b"],
    "part": {"name": "x"},
}


@pytest.mark.parametrize(
    "settings", [{}, {"hooks": ["scans"], "hook_settings": {"invoices": EVERY}}, {"hooks": []}], ids=str
)
def test_a_form_sent_without_edits_changes_no_setting_of_hooks(settings: dict[str, Any]) -> None:
    seen = values(**settings)
    form = {name: text.replace("\n", "") for name, text in shown(seen, FACES).items()}
    assert touched(form, seen, FACES) == []
    assert wanted({}, seen, FACES).changes == {}


@pytest.mark.parametrize(
    ("field", "typed", "value"),
    [
        ("table", " bills ", "bills"),
        ("limit", "3", 3),
        ("limit", "many", "many"),
        ("share", "1.5", 1.5),
        ("share", "2", 2),
        ("strict", "on", True),
        ("currency", "CHF", "CHF"),
        ("size", "2", 2),
        ("since", "2026-03-31", "2026-03-31"),
        ("columns", '["a"]', ["a"]),
        ("part", '{"name": "x"}', {"name": "x"}),
    ],
)
def test_a_field_is_read_as_its_type(field: str, typed: str, value: Any) -> None:
    form = {f"hook_settings.invoices.{field}": typed}
    assert changes(form)["hook_settings"]["invoices"] == {field: value}


def test_an_empty_control_and_the_default_reset_a_field() -> None:
    form = {
        "hook_settings.invoices.table": "",
        "hook_settings.invoices.limit": " ",
        "hook_settings.invoices.size": "1",
    }
    found = changes(form, hook_settings={"invoices": EVERY})["hook_settings"]["invoices"]
    assert found == {name: value for name, value in EVERY.items() if name not in {"table", "limit", "size"}}


def test_fields_that_are_not_edited_keep_their_values() -> None:
    stored = {"table": "Dear Ada,\nthank you", "limit": 3, "share": 0.5, "currency": "EUR"}
    seen = TenantSettings(hook_settings={"invoices": stored, "strange": {}}).to_json()
    form = {name: text.replace("\n", "") for name, text in shown(seen, FACES).items()}
    found = wanted({**form, "hook_settings.invoices.limit": "4"}, seen, FACES).changes["hook_settings"]
    assert found["invoices"] == {**stored, "limit": 4}


@pytest.mark.parametrize("stored", ["", "\t", " x "])
def test_a_text_of_spaces_at_its_ends_is_kept_when_another_field_is_edited(stored: str) -> None:
    seen = TenantSettings(hook_settings={"invoices": {"table": stored}}).to_json()
    form = {**shown(seen, FACES), "hook_settings.invoices.strict": "on"}
    found = wanted(form, seen, FACES).changes["hook_settings"]["invoices"]
    assert found == {"table": stored, "strict": True}


class Newer(BaseModel):
    limit: int = 0


@pytest.mark.parametrize(("typed", "after"), [("4", {"invoices": {"limit": 4}}), ("", {})])
def test_a_value_whose_field_is_gone_does_not_lock_the_form_of_its_hook(typed: str, after: dict[str, Any]) -> None:
    newer = {"invoices": KnownHook("/invoices/*.csv", Newer), "scans": KnownHook("/scans/*", Newer)}
    faces, now = faces_of(newer), TenantSettings(hook_settings={"invoices": {"limit": 3, "rounding": 3}})
    form = {**shown(now.to_json(), faces), "hook_settings.invoices.limit": typed}
    found = wanted(form, now.to_json(), faces).changes
    assert changed(now, found, hooks=newer).hook_settings == after
    other = {**shown(now.to_json(), faces), "hook_settings.scans.limit": "5"}
    found = wanted(other, now.to_json(), faces).changes
    assert changed(now, found, hooks=newer).hook_settings == {**now.hook_settings, "scans": {"limit": 5}}


class Tristate(BaseModel):
    strict: bool | None = None
    limit: int = 0


def test_a_switch_without_a_value_stays_without_one() -> None:
    faces = faces_of({"invoices": KnownHook("/invoices/*.csv", Tristate)})
    seen = values()
    found = wanted({**shown(seen, faces), "hook_settings.invoices.limit": "4"}, seen, faces).changes
    assert found["hook_settings"]["invoices"] == {"limit": 4}


def test_what_is_not_json_is_refused_beside_the_setting() -> None:
    seen = values()
    found = wanted({**shown(seen, FACES), "hook_settings.invoices.columns": "a, b"}, seen, FACES)
    assert found.unreadable == {"hook_settings": "invoices, Columns: must be JSON text"}


def test_switches_turn_hooks_off_and_on() -> None:
    assert changes({"hooks.scans": "off"}) == {"hooks": ["invoices", "strange"]}
    assert changes({"hooks.scans": "on", "hooks.strange": "on"}, hooks=["invoices"]) == {"hooks": None}
    every = {"hooks.invoices": "off", "hooks.scans": "off", "hooks.strange": "off"}
    assert changes(every) == {"hooks": []}
    assert values(hooks=[])["hooks"] == ["sync_users"]


def test_a_hook_that_cannot_be_used_stays_as_it_is() -> None:
    seen = values(hooks=["invoices", "scans"], hook_settings={"invoices": {"limit": 3}})
    faces = faces_of({"scans": HOOKS["scans"], "strange": HOOKS["strange"]})
    form = {**shown(seen, faces), "hooks.scans": "off", "hook_settings.strange.odd": "{}"}
    found = wanted(form, seen, faces).changes
    assert found["hooks"] == ["invoices"]
    assert found["hook_settings"]["invoices"] == {"limit": 3}


WITH_A_BROKEN_ONE = {**HOOKS, "payroll": KnownHook("/payroll/*.csv", Invoices, "cannot be imported")}


@pytest.mark.parametrize(
    ("before", "form", "after"),
    [
        (None, {"hooks.scans": "off"}, ["invoices", "strange", "payroll"]),
        (["invoices"], {"hooks.scans": "on", "hooks.strange": "on"}, ["invoices", "scans", "strange"]),
        (["invoices", "payroll"], {"hooks.scans": "on"}, ["invoices", "scans", "payroll"]),
        (["invoices", "scans", "payroll"], {"hooks.strange": "on"}, None),
    ],
)
def test_a_broken_hook_stays_on_or_off_when_another_is_switched(
    before: list[str] | None, form: Form, after: list[str] | None
) -> None:
    faces = faces_of(WITH_A_BROKEN_ONE)
    now = changed(TenantSettings(), {"hooks": before}, hooks=WITH_A_BROKEN_ONE)
    seen = now.to_json()
    found = wanted({**shown(seen, faces), **form}, seen, faces).changes
    assert found == {"hooks": after}
    then = changed(now, found, hooks=WITH_A_BROKEN_ONE)
    assert then.has_on("payroll") == now.has_on("payroll")


def test_a_broken_hook_has_a_switch_and_no_controls_of_values() -> None:
    faces = faces_of(WITH_A_BROKEN_ONE)
    ((_, switches),) = entries_of(faces, "hooks", {})
    assert [each.explanation for each in switches][2:] == ["/strange", "/payroll/*.csv (cannot be used now)"]
    assert all(heading != "payroll" for heading, _ in entries_of(faces, "hook_settings", {}))


def test_the_edits_of_two_owners_of_hooks_are_merged() -> None:
    seen, now = values(), values(hook_settings={"invoices": {"limit": 3}})
    mine = {**shown(seen, FACES), "hooks.scans": "off"}
    form = put_together(mine, seen, now, FACES)
    assert (form["hooks.scans"], form["hook_settings.invoices.limit"]) == ("off", "3")
    assert wanted(form, now, FACES).changes == {"hooks": ["invoices", "strange"]}


def test_the_edits_of_two_owners_in_one_setting_of_hooks_are_merged() -> None:
    seen, now = values(), values(hooks=["invoices", "strange"], hook_settings={"invoices": {"limit": 3}})
    mine = {**shown(seen, FACES), "hooks.strange": "off", "hook_settings.invoices.table": "bills"}
    form = put_together(mine, seen, now, FACES)
    assert wanted(form, now, FACES).changes == {
        "hooks": ["invoices"],
        "hook_settings": {"invoices": {"limit": 3, "table": "bills"}},
    }


def test_a_value_outside_of_the_choices_is_shown() -> None:
    form = {**shown(values(), FACES), "hook_settings.invoices.currency": "USD"}
    entries = {each.id: each for _, group in entries_of(FACES, "hook_settings", form) for each in group}
    assert entries["hook_settings.invoices.currency"].options == ["USD", "EUR", "CHF"]


def test_the_group_of_hooks_is_left_out_without_hooks() -> None:
    form = shown(values())
    assert "Hooks" not in groups_of(form, values(), {}, {})
    only_scans = faces_of({"scans": HOOKS["scans"]})
    found = groups_of(shown(values(), only_scans), values(), {}, {}, faces=only_scans)["Hooks"]  # type: ignore[index]
    assert [item.setting for item in found] == ["hooks"]


def test_settings_of_hooks_are_written_in_words() -> None:
    assert hooks_in_words("hooks", None) == "all hooks"
    assert hooks_in_words("hooks", ["a", "b"]) == "a, b"
    assert hooks_in_words("hook_settings", {"a": {"x": 1, "y": "z"}}) == "a: x = 1\na: y = z"
