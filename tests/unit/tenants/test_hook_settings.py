"""A tenant's settings of hooks: which are on, and the values that their models accept."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel, Field, field_validator

from ground.moments import utc_now
from server.tenants.hook_settings import KnownHook
from server.tenants.settings import TenantRefused, TenantSettings, changed
from server.tenants.settings_toml import from_toml, to_toml


class Invoices(BaseModel):
    table: str = Field("invoices", max_length=10)
    limit: int = 0
    since: date = date(2026, 1, 1)
    rules: list[dict[str, Any]] = []

    @field_validator("table")
    @classmethod
    def _no_number(cls, value: str) -> str:
        if value.isdecimal():
            raise ValueError("must not be a number")
        return "explodes"[len(value) // 0] if value == "bug" else value


USABLE = {"invoices": KnownHook("/invoices/*.csv", Invoices), "scans": KnownHook("/scans/*", None)}


def after(now: TenantSettings | None = None, **changes: Any) -> TenantSettings:
    return changed(now or TenantSettings(), changes, hooks=USABLE)


def refused(now: TenantSettings | None = None, **changes: Any) -> str:
    with pytest.raises(TenantRefused) as caught:
        after(now, **changes)
    assert caught.value.code == "bad_setting"
    assert caught.value.setting in changes
    return caught.value.message


def test_all_hooks_are_on_by_default() -> None:
    assert TenantSettings().has_on("invoices")
    assert not after(hooks=["scans"]).has_on("invoices")
    assert after(hooks=["scans"]).has_on("scans")


def test_a_list_of_no_hook_is_the_hook_that_is_always_on() -> None:
    assert after(hooks=[]).hooks == ("sync_users",)
    assert after(hooks="sync_users").hooks == ("sync_users",)
    assert after(after(hooks=[]), hooks=None).hooks is None


def test_names_of_hooks_are_separated_by_commas() -> None:
    assert after(hooks="invoices, scans,invoices").hooks == ("invoices", "scans")


@pytest.mark.parametrize(
    ("hooks", "said"),
    [
        ("invoice", "hooks: there is no hook invoice; did you mean invoices?"),
        ("In Voices", "hooks: “In Voices” is not the name of a hook, such as invoices"),
        (3, "hooks: must be names of hooks separated by commas"),
    ],
)
def test_a_name_of_no_hook_is_refused(hooks: Any, said: str) -> None:
    assert refused(hooks=hooks).startswith(said)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"invoices": {"limit": "many"}}, "invoices, limit: must be a whole number, not “many”"),
        ({"invoices": {"tabel": "x"}}, "invoices, tabel: is unknown"),
        ({"invoices": {"table": "x" * 11}}, "invoices, table: must have at most 10 characters"),
        ({"invoices": {"table": "12"}}, "invoices, table: must not be a number, not “12”"),
        ({"invoices": {"table": "bug"}}, "invoices: the hook cannot check these values (ZeroDivisionError)"),
        ({"invoices": {"rules": [1]}}, "invoices, rules, entry 1: must be a table, not 1"),
        ({"scans": {"x": 1}}, "scans: this hook has no settings"),
        ({"scan": {"x": 1}}, "scan: there is no hook scan; did you mean scans?"),
        ({"Scans": {"x": 1}}, "“Scans” is not the name of a hook"),
        ("{", "must be JSON text"),
        ([1], "must be a table"),
        ({"invoices": {"limit": float("nan")}}, "must be values of JSON"),
        ({"invoices": {"table": "x" * 70_000}}, "must have at most 65,536 bytes together"),
    ],
)
def test_a_value_that_the_hook_refuses_is_not_stored(values: Any, said: str) -> None:
    assert refused(hook_settings=values).startswith(f"hook_settings: {said}")


def test_values_are_stored_as_given_without_those_that_are_reset() -> None:
    given = {"invoices": {"limit": 3, "table": None, "since": date(2026, 3, 31)}, "scans": {}}
    assert after(hook_settings=given).hook_settings == {"invoices": {"limit": 3, "since": "2026-03-31"}}
    assert after(hook_settings='{"invoices": {"limit": 3}}').hook_settings == {"invoices": {"limit": 3}}


def test_values_of_a_hook_that_is_gone_hinder_no_other_change() -> None:
    now = TenantSettings(
        hooks=("old", "invoices"), hook_settings={"old": {"x": 1}, "invoices": {"limit": "was text"}}
    )
    assert after(now, max_sessions=3).hook_settings == now.hook_settings
    kept = {"old": {"x": 1}, "invoices": {"limit": 3}}
    assert after(now, hooks="old", hook_settings=kept).hook_settings == kept
    assert "there is no hook old" in refused(now, hook_settings={"old": {"x": 2}})
    assert after(now, hook_settings=None, hooks=None).hook_settings == {}


def test_a_broken_hook_is_turned_on_and_off_and_keeps_its_values() -> None:
    known = {
        **USABLE,
        "payroll": KnownHook("/payroll/*.csv", Invoices, "cannot be imported"),
        "lost": KnownHook(None, error="?"),
    }
    now = changed(TenantSettings(), {"hooks": ["payroll", "scans", "lost"]}, hooks=known)
    assert now.has_on("payroll")
    with pytest.raises(TenantRefused, match="payroll: this hook cannot be used now, so nothing can check its values"):
        changed(now, {"hook_settings": {"payroll": {"limit": 3}}}, hooks=known)
    kept = TenantSettings(hook_settings={"payroll": {"limit": 3}})
    assert changed(kept, {"hooks": ["scans"]}, hooks=known).hook_settings == kept.hook_settings


def test_a_file_of_settings_has_those_of_hooks() -> None:
    values = {"invoices": {"table": "a\nb", "limit": 3, "rules": [{"a": [1, {"b c": True}]}, {}]}}
    now = after(hooks=["scans"], hook_settings=values)
    text = to_toml("acme", now, utc_now())
    assert 'hooks = ["scans"]' in text
    assert "[hook_settings.invoices]" in text
    assert changed(TenantSettings(), from_toml(text), whole=True, hooks=USABLE) == now
    assert "since = 2026-03-31" not in text
    dated = from_toml("[hook_settings.invoices]\nsince = 2026-03-31\n")
    assert changed(now, dated, hooks=USABLE).hook_settings == {"invoices": {"since": "2026-03-31"}}


def test_defaults_of_hooks_are_comments_in_a_file_of_settings() -> None:
    text = to_toml("acme", TenantSettings(), utc_now())
    assert "# hooks is not set" in text
    assert "# hook_settings is empty" in text
