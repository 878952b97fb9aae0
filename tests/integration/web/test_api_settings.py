"""Settings in the API: all change or none, and no owner overwrites the change of another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.tenants.settings import TenantRefused, TenantSettings, etag
from server.web.api.settings import merged
from tests.support.site import Site, open_site
from tests.unit.web.test_settings_form import USABLE

SETTINGS = "/api/v1/tenants/acme/settings"
MERGE = {"content-type": "application/merge-patch+json"}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other", known=USABLE) as opened:
        yield opened


async def test_all_settings_are_shown_with_an_etag(site: Site) -> None:
    answer = await site.api("viewer").get(SETTINGS)
    assert answer.json() == TenantSettings().to_json()
    assert answer.headers["etag"].startswith('"')


async def test_settings_change_all_or_none(site: Site) -> None:
    client = site.api("owner")
    before = await client.get(SETTINGS)
    wrong = {"deactivate_missing": True, "max_deactivations_percent": 500, "retention_days": 0}
    answer = await client.patch(SETTINGS, json=wrong)
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "bad_setting"
    assert [each["name"] for each in problem["errors"]] == ["max_deactivations_percent", "retention_days"]
    assert (await client.get(SETTINGS)).json() == before.json()
    answer = await client.patch(SETTINGS, json={"deactivate_missing": True, "max_deactivations_percent": 5})
    assert answer.status_code == 200
    assert answer.json() == {**before.json(), "deactivate_missing": True, "max_deactivations_percent": 5}
    assert answer.headers["etag"] != before.headers["etag"]


async def test_null_resets_a_setting_to_its_default(site: Site) -> None:
    client = site.api("owner")
    await client.patch(SETTINGS, json={"retention_days": 30})
    assert (await client.patch(SETTINGS, json={"retention_days": None})).json()["retention_days"] == 90


async def test_an_unknown_setting_is_named(site: Site) -> None:
    problem = (await site.api("owner").patch(SETTINGS, json={"retention_day": 3})).json()
    assert (problem["status"], problem["code"]) == (422, "unknown_setting")
    assert "did you mean retention_days" in problem["detail"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("require_checksum", 0),
        ("require_checksum", "no"),
        ("retention_days", "30"),
        ("retention_days", True),
        ("custom_fields", "[]"),
        ("field_mapping", []),
        ("delimiter", 5),
        ("max_file_bytes", False),
    ],
)
async def test_a_setting_of_another_type_is_refused(site: Site, name: str, value: object) -> None:
    problem = (await site.api("owner").patch(SETTINGS, json={name: value})).json()
    assert (problem["status"], problem["code"]) == (422, "bad_setting")
    assert problem["detail"].startswith(f"{name}: must be of type ")


async def test_two_owners_cannot_overwrite_each_other(site: Site) -> None:
    client = site.api("owner")
    seen = (await client.get(SETTINGS)).headers["etag"]
    first = await client.patch(SETTINGS, json={"retention_days": 30}, headers={"if-match": seen})
    assert first.status_code == 200
    second = await client.patch(SETTINGS, json={"retention_days": 60}, headers={"if-match": seen})
    assert (second.status_code, second.json()["code"]) == (412, "settings_changed")
    now = first.headers["etag"]
    third = await client.patch(SETTINGS, json={"retention_days": 60}, headers={"if-match": f'"other", {now}'})
    assert third.status_code == 200
    assert (await client.patch(SETTINGS, json={"retention_days": 61}, headers={"if-match": "*"})).status_code == 200


async def test_one_of_several_owners_with_the_same_etag_succeeds(site: Site) -> None:
    client = site.api("owner")
    seen = {"if-match": (await client.get(SETTINGS)).headers["etag"]}
    changes = [client.patch(SETTINGS, json={"retention_days": days}, headers=seen) for days in range(31, 39)]
    answers = await asyncio.gather(*changes)
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7
    kept = next(answer.json() for answer in answers if answer.status_code == 200)
    assert (await client.get(SETTINGS)).json() == kept
    history = (await client.get(f"{SETTINGS}/history")).json()["changes"]
    assert [(each["old"], each["new"]) for each in history] == [(90, kept["retention_days"])]


async def test_owners_who_merge_into_one_table_at_once_lose_no_entry(site: Site) -> None:
    client = site.api("owner")
    patches = [{"field_mapping": {f"Name {number}": field}} for number, field in enumerate(("first_name", "email"))]
    answers = await asyncio.gather(*(client.patch(SETTINGS, json=patch, headers=MERGE) for patch in patches * 4))
    assert {answer.status_code for answer in answers} <= {200, 412}
    merged_in = [patch for patch, answer in zip(patches * 4, answers, strict=True) if answer.status_code == 200]
    expected = {name: field for patch in merged_in for name, field in patch["field_mapping"].items()}
    assert expected
    assert (await client.get(SETTINGS)).json()["field_mapping"] == expected


async def test_settings_changed_since_they_were_read_are_not_changed(site: Site) -> None:
    tenants = site.office.tenants
    read = etag(await tenants.settings("acme"))
    await tenants.change_settings("acme", {"retention_days": 30}, by="Ann")
    with pytest.raises(TenantRefused) as refused:
        await tenants.change_settings("acme", {"max_sessions": 4}, by="Bob", expected=read)
    assert refused.value.code == "settings_changed"
    after = await tenants.settings("acme")
    assert (after.retention_days, after.max_sessions) == (30, TenantSettings().max_sessions)
    changed = await tenants.change_settings("acme", {"max_sessions": 4}, by="Bob", expected=etag(after))
    assert changed.max_sessions == 4


async def test_a_table_is_replaced_or_merged_as_the_media_type_says(site: Site) -> None:
    client = site.api("owner")
    await client.patch(SETTINGS, json={"field_mapping": {"Vorname": "first_name", "Name": "last_name"}})
    patch = {"field_mapping": {"Name": None, "Nachname": "last_name"}}
    answer = await client.patch(SETTINGS, json=patch, headers=MERGE)
    assert answer.json()["field_mapping"] == {"Vorname": "first_name", "Nachname": "last_name"}
    answer = await client.patch(SETTINGS, json={"field_mapping": {"Name": "last_name"}})
    assert answer.json()["field_mapping"] == {"Name": "last_name"}


def test_merging_is_as_rfc_7396_has_it() -> None:
    now = {"a": {"b": "c", "d": {"e": 1}}, "f": [1], "g": 1}
    patch = {"a": {"b": None, "d": {"h": 2}, "i": {"j": None}}, "f": [2], "g": None, "k": {"l": None, "m": 1}}
    assert merged(now, patch) == {"a": {"d": {"e": 1, "h": 2}, "i": {}}, "f": [2], "g": None, "k": patch["k"]}


async def test_every_change_is_recorded_with_its_author(site: Site) -> None:
    client = site.api("owner")
    for days in (30, 31, 32):
        await client.patch(SETTINGS, json={"retention_days": days})
    first = (await client.get(f"{SETTINGS}/history", params={"limit": 2})).json()
    assert [(each["key"], each["old"], each["new"]) for each in first["changes"]] == [
        ("retention_days", 31, 32),
        ("retention_days", 30, 31),
    ]
    assert first["changes"][0]["changed_by"].startswith("owner, token ")
    rest = (await client.get(f"{SETTINGS}/history", params={"before": first["next"]})).json()
    assert ([each["new"] for each in rest["changes"]], rest["next"]) == ([30], None)


async def test_settings_cannot_change_while_an_import_locks_the_users(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.stored.impatient(monkeypatch, 0.1)
    with site.stored.writing_users("acme"):
        answer = await site.api("owner").patch(SETTINGS, json={"retention_days": 30})
    assert (answer.status_code, answer.json()["code"]) == (503, "database_busy")
    assert int(answer.headers["retry-after"]) > 0


async def test_invitations_without_a_link_are_refused(site: Site) -> None:
    client = site.api("owner")
    answer = await client.patch(SETTINGS, json={"invitations": "immediately"})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_setting")
    assert [each["name"] for each in answer.json()["errors"]] == ["invitations"]
    linked = {"en": {"subject": "Hi", "text": "Hello: https://example.com"}}
    answer = await client.patch(SETTINGS, json={"invitations": "immediately", "invitation_templates": linked})
    assert answer.status_code == 200


async def test_settings_of_hooks_are_checked_by_the_hook(site: Site) -> None:
    client = site.api("owner")
    given = {"hooks": ["scans"], "hook_settings": {"invoices": {"currency": "CHF"}}}
    answer = await client.patch(SETTINGS, json=given)
    assert answer.status_code == 200
    assert {name: answer.json()[name] for name in given} == given
    wrong = {"hooks": ["scan"], "hook_settings": {"invoices": {"currency": 3}}}
    answer = await client.patch(SETTINGS, json=wrong)
    assert answer.status_code == 422
    assert [(each["name"], each["detail"]) for each in answer.json()["errors"]] == [
        ("hooks", "there is no hook scan; did you mean scans?"),
        ("hook_settings", "invoices, currency: must be text, not 3"),
    ]
    shown = (await site.api("viewer").get(SETTINGS)).json()
    assert {name: shown[name] for name in given} == given
    assert (await site.api("viewer").patch(SETTINGS, json=given)).status_code == 403
    merging = {"hook_settings": {"invoices": {"currency": None}}}
    assert (await client.patch(SETTINGS, json=merging, headers=MERGE)).json()["hook_settings"] == {}
