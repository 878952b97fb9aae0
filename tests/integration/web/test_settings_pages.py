"""The settings form: all changes are saved or none, another owner's change is kept, and settings are tested."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.sqlite.database import transaction
from engine.sqlite.tenant.users import open_users
from server.tenants.settings import TenantSettings
from tests.support.forms import Form
from tests.support.importing import people
from tests.support.pages import done
from tests.support.site import Site, open_site
from tests.unit.web.test_settings_form import EVERY, USABLE

SETTINGS = "/tenants/acme/settings"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other", known=USABLE) as opened:
        yield opened


@pytest.fixture
async def owner(site: Site) -> httpx.AsyncClient:
    return await site.browser("owner")


async def form_of(browser: httpx.AsyncClient) -> Form:
    return Form((await browser.get(SETTINGS)).text, SETTINGS)


async def settings(site: Site) -> TenantSettings:
    return await site.office.tenants.settings("acme")


async def change(site: Site, by: str = "Bo", **changes: Any) -> None:
    await site.office.tenants.change_settings("acme", changes, by=by)


async def test_every_setting_is_in_the_form_with_a_label_and_an_explanation(owner: httpx.AsyncClient) -> None:
    text = (await owner.get(SETTINGS)).text
    for name in TenantSettings.model_fields:
        assert f'for="{name}"' in text or f'<fieldset class="setting rows" id="{name}"' in text, name
        assert f'id="{name}-help"' in text, name


async def test_a_settings_form_sent_without_edits_changes_nothing(site: Site, owner: httpx.AsyncClient) -> None:
    await change(site, **{name: value for name, value in EVERY.items() if name != "identifier"})
    before = await settings(site)
    answer = await owner.post(SETTINGS, data=(await form_of(owner)).but())
    assert done(answer) == (f"{SETTINGS}", "settings-same")
    assert await settings(site) == before


async def test_changes_are_saved_with_the_token_that_made_them(site: Site, owner: httpx.AsyncClient) -> None:
    sent = (await form_of(owner)).but(deactivate_missing="on", quota_bytes="5 GiB", field_mapping="Mail = email\r\n")
    answer = await owner.post(SETTINGS, data=sent)
    assert done(answer) == (f"{SETTINGS}", "settings-saved")
    assert "Settings saved." in (await owner.get(answer.headers["location"])).text
    after = await settings(site)
    assert (after.deactivate_missing, after.quota_bytes, after.field_mapping) == (True, 5 * 2**30, {"Mail": "email"})
    history = (await owner.get(f"{SETTINGS}/history")).text
    assert "owner, token" in history
    assert "<del>10 GiB</del>" in history
    assert "<ins>5 GiB</ins>" in history


async def test_a_cleared_checkbox_turns_a_setting_off(site: Site, owner: httpx.AsyncClient) -> None:
    await owner.post(SETTINGS, data=(await form_of(owner)).but(detect_truncation=None))
    assert (await settings(site)).detect_truncation is False


async def test_all_errors_are_shown_beside_their_settings_and_nothing_is_saved(
    site: Site, owner: httpx.AsyncClient
) -> None:
    sent = (await form_of(owner)).but(
        quota_bytes="much", field_mapping="<b>Mail", retention_days="0", max_sessions="3"
    )
    answer = await owner.post(SETTINGS, data=sent)
    assert answer.status_code == 422
    text = answer.text
    assert "Nothing was saved. Fix 3 settings:" in text
    for name in ("quota_bytes", "field_mapping", "retention_days"):
        assert f'<a href="#{name}">' in text, name
        assert f'id="{name}-error"' in text, name
        assert f"{name}-error" in text.split(f'id="{name}"')[1].split(">")[0], f"{name} does not name its error"
    again = Form(text, SETTINGS)
    assert [again[name] for name in ("quota_bytes", "field_mapping", "max_sessions")] == ["much", "<b>Mail", "3"]
    assert await settings(site) == TenantSettings()


async def test_settings_that_conflict_get_an_error_beside_the_one_to_fix(
    site: Site, owner: httpx.AsyncClient
) -> None:
    answer = await owner.post(SETTINGS, data=(await form_of(owner)).but(field_mapping="Mail = nothing"))
    assert answer.status_code == 422
    assert "which is not a field" in answer.text.split('id="field_mapping-error"')[1].split("</p>")[0]


async def test_an_identifier_that_users_lack_is_refused_beside_the_setting(
    site: Site, owner: httpx.AsyncClient
) -> None:
    await change(site, custom_fields=[{"key": "number"}])
    await site.imported(people("ann"))
    answer = await owner.post(SETTINGS, data=(await form_of(owner)).but(identifier="number"))
    assert answer.status_code == 422
    assert 'id="identifier-error"' in answer.text


async def test_two_owners_do_not_overwrite_each_other(site: Site, owner: httpx.AsyncClient) -> None:
    form = await form_of(owner)
    await change(site, by="Bo <i>", retention_days=30, max_sessions=4)
    answer = await owner.post(SETTINGS, data=form.but(max_sessions="7", quota_files="99"))
    assert answer.status_code == 409
    assert "Not saved: the settings changed while this form was open." in answer.text
    assert 'Bo &lt;i&gt; changed this to: <strong class="value">4</strong>' in answer.text
    assert (await settings(site)).max_sessions == 4
    again = Form(answer.text, SETTINGS)
    assert [again[name] for name in ("max_sessions", "quota_files", "retention_days")] == ["7", "99", "30"]
    assert (await owner.post(SETTINGS, data=again.but())).status_code == 303
    after = await settings(site)
    assert (after.max_sessions, after.quota_files, after.retention_days) == (7, 99, 30)


async def test_a_form_of_unknown_settings_is_shown_again(site: Site, owner: httpx.AsyncClient) -> None:
    answer = await owner.post(SETTINGS, data={"etag": "0123456789abcdef", "max_sessions": "7"})
    assert answer.status_code == 409
    assert Form(answer.text, SETTINGS)["max_sessions"] == "7"
    assert (await settings(site)).max_sessions == 10


async def test_a_form_is_kept_while_an_import_locks_the_users(
    site: Site, owner: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = await form_of(owner)
    site.stored.impatient(monkeypatch, 0.05)
    with site.stored.writing_users("acme"):
        answer = await owner.post(SETTINGS, data=form.but(max_sessions="7"))
    assert answer.status_code == 503
    assert "Nothing was saved" in answer.text
    assert Form(answer.text, SETTINGS)["max_sessions"] == "7"


@pytest.mark.only_on("sqlite", "no other engine lets a writer lock readers out")
async def test_a_locked_history_is_answered_with_when_to_retry(
    site: Site, owner: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_users(site.office.tenants.folder("acme")) as db:
        await db.execute("PRAGMA locking_mode=EXCLUSIVE")
        async with transaction(db):
            await db.execute("UPDATE meta SET revision = revision")
        monkeypatch.setattr("engine.sqlite.database.BUSY_TIMEOUT_S", 0.01)
        page = await owner.get(f"{SETTINGS}/history")
        answer = await site.api("owner").get(f"/api/v1{SETTINGS}/history")
    assert (page.status_code, answer.status_code) == (503, 503)
    assert "Try again later." in page.text
    assert answer.json()["code"] == "database_busy"
    assert int(page.headers["retry-after"]) > 0


async def test_rows_are_added_and_removed_without_saving(site: Site, owner: httpx.AsyncClient) -> None:
    form = await form_of(owner)
    added = await owner.post(f"{SETTINGS}/rows", data=form.but(rows="add:custom_fields", max_sessions="7"))
    assert "autofocus" in added.text.split('id="custom_fields.0.key"')[1].split(">")[0]
    filled = Form(added.text, SETTINGS)
    assert filled["max_sessions"] == "7"
    typed = {"custom_fields__0__key": "shift", "custom_fields__0__type": "choice"}
    saved = await owner.post(SETTINGS, data=filled.but(**typed, custom_fields__0__choices="Early\r\nLate"))
    assert saved.status_code == 303
    (shift,) = (await settings(site)).custom_fields
    assert (shift.key, shift.choices) == ("shift", ("Early", "Late"))
    removed = await owner.post(f"{SETTINGS}/rows", data=(await form_of(owner)).but(rows="remove:custom_fields:0"))
    assert 'id="custom_fields.0.key"' not in removed.text
    assert (await settings(site)).custom_fields
    assert (await owner.post(SETTINGS, data=Form(removed.text, SETTINGS).but())).status_code == 303
    assert not (await settings(site)).custom_fields


@pytest.mark.parametrize("rows", ["", "add:", "add:max_sessions", "remove:custom_fields:x", "remove:custom_fields:9"])
async def test_an_invalid_row_action_changes_nothing(owner: httpx.AsyncClient, rows: str) -> None:
    assert (await owner.post(f"{SETTINGS}/rows", data=(await form_of(owner)).but(rows=rows))).status_code == 200


async def test_settings_are_tested_on_the_newest_file_without_saving(site: Site, owner: httpx.AsyncClient) -> None:
    number = await site.upload(people("ann"))
    answer = await owner.post(f"{SETTINGS}/try", data=(await form_of(owner)).but(deactivate_missing="on"))
    assert answer.headers["location"] == f"/tenants/acme/imports/{number + 1}"
    entry = await site.office.queue.get("acme", number + 1)
    assert entry
    assert entry.dry_run
    assert entry.trial
    assert entry.trial.changes == {"deactivate_missing": True}
    assert (await settings(site)).deactivate_missing is False


async def test_tested_settings_can_be_edited_and_saved(site: Site, owner: httpx.AsyncClient) -> None:
    await site.upload(people("ann"))
    tried = await owner.post(f"{SETTINGS}/try", data=(await form_of(owner)).but(max_updates_percent="30"))
    number = tried.headers["location"].rpartition("/")[2]
    text = (await owner.get(f"{SETTINGS}?tried={number}")).text
    assert "Nothing is saved yet" in text
    form = Form(text, SETTINGS)
    assert form["max_updates_percent"] == "30"
    assert (await owner.post(SETTINGS, data=form.but(max_creations_percent="40"))).status_code == 303
    after = await settings(site)
    assert (after.max_updates_percent, after.max_creations_percent) == (30, 40)


@pytest.mark.parametrize("number", [1, 99])
async def test_an_import_without_tested_settings_fills_in_none(
    site: Site, owner: httpx.AsyncClient, number: int
) -> None:
    await site.upload(people("ann"))
    answer = await owner.get(f"{SETTINGS}?tried={number}")
    assert answer.status_code == 200
    assert "Nothing is saved yet" not in answer.text


async def test_without_a_file_settings_cannot_be_tested_and_the_form_is_kept(owner: httpx.AsyncClient) -> None:
    answer = await owner.post(f"{SETTINGS}/try", data=(await form_of(owner)).but(max_sessions="7"))
    assert answer.status_code == 409
    assert "These settings cannot be tested: no CSV file was imported yet" in answer.text
    assert Form(answer.text, SETTINGS)["max_sessions"] == "7"


async def test_invalid_settings_are_not_tested(owner: httpx.AsyncClient) -> None:
    answer = await owner.post(f"{SETTINGS}/try", data=(await form_of(owner)).but(encoding="klingon"))
    assert answer.status_code == 422
    assert 'id="encoding-error"' in answer.text


async def test_a_viewer_sees_all_settings_and_no_form(site: Site) -> None:
    await change(site, retention_days=30, field_mapping={"<b>Mail": "email"})
    text = (await (await site.browser("viewer")).get(SETTINGS)).text
    assert "30 days" in text
    assert "&lt;b&gt;Mail = email" in text
    assert f'action="{SETTINGS}"' not in text
    assert all(f'id="{name}"' in text for name in TenantSettings.model_fields)


async def test_an_empty_settings_history_says_so(owner: httpx.AsyncClient) -> None:
    assert "No changes yet" in (await owner.get(f"{SETTINGS}/history")).text


async def test_a_long_history_is_paged_from_the_newest(
    site: Site, owner: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.web.pages.settings.page.HISTORY", 5)
    for days in range(11, 14):
        await change(site, retention_days=days)
    for number in range(2, 7):
        await change(site, max_sessions=number)
    newest = (await owner.get(f"{SETTINGS}/history")).text
    assert "<ins>13 days</ins>" not in newest
    assert "<ins>6</ins>" in newest
    (older,) = re.findall(r'href="([^"]+)" rel="next"', newest)
    assert "<ins>13 days</ins>" in (await owner.get(older)).text


async def test_values_of_settings_stay_text(site: Site, owner: httpx.AsyncClient) -> None:
    bad = '"><script>alert(1)</script>'
    await change(
        site,
        by=bad,
        custom_fields=[{"key": "a", "label": bad, "type": "choice", "choices": [bad]}],
        value_mapping={"role": {bad: "hr"}},
        field_mapping={bad: "email"},
        invitation_templates={"en": {"subject": bad, "text": "</textarea>" + bad}},
    )
    for path in (SETTINGS, f"{SETTINGS}/history"):
        text = (await owner.get(path)).text
        assert "<script>alert" not in text, path
        assert bad in html.unescape(text), path
    assert Form((await owner.get(SETTINGS)).text, SETTINGS)["invitation_templates.0.text"] == "</textarea>" + bad


async def test_invitations_without_a_link_are_refused_beside_the_setting(
    site: Site, owner: httpx.AsyncClient
) -> None:
    for path in (SETTINGS, f"{SETTINGS}/try"):
        answer = await owner.post(path, data=(await form_of(owner)).but(invitations="immediately"))
        assert answer.status_code == 422, path
        assert "needs a link" in answer.text.split('id="invitations-error"')[1].split("</p>")[0]
    assert await settings(site) == TenantSettings()


async def test_a_hook_is_turned_off_and_set_in_the_form(site: Site, owner: httpx.AsyncClient) -> None:
    sent = (await form_of(owner)).but(**{"hooks.scans": None, "hook_settings.invoices.currency": "CHF"})
    assert done(await owner.post(SETTINGS, data=sent)) == (SETTINGS, "settings-saved")
    after = await settings(site)
    assert (after.hooks, after.hook_settings) == (("invoices",), {"invoices": {"currency": "CHF"}})
    form = await form_of(owner)
    assert "on" not in form.but()["hooks.scans"]
    assert "on" in form.but()["hooks.invoices"]
    back = form.but(**{"hooks.scans": "on", "hook_settings.invoices.currency": ""})
    await owner.post(SETTINGS, data=back)
    assert await settings(site) == TenantSettings()
    viewed = (await (await site.browser("viewer")).get(SETTINGS)).text
    assert "all hooks" in viewed
    history = html.unescape((await owner.get(f"{SETTINGS}/history")).text)
    assert "<ins>invoices: currency = CHF</ins>" in history


async def test_a_value_that_a_hook_refuses_is_shown_with_the_reason(site: Site, owner: httpx.AsyncClient) -> None:
    sent = (await form_of(owner)).but(**{"hook_settings.invoices.limit": "many", "hooks.scans": None})
    answer = await owner.post(SETTINGS, data=sent)
    assert answer.status_code == 422
    text = html.unescape(answer.text)
    assert "invoices, limit: must be a whole number, not “many”" in text
    form = Form(answer.text, SETTINGS).but()
    assert form["hook_settings.invoices.limit"] == ["many"]
    assert "on" not in form["hooks.scans"]
    assert await settings(site) == TenantSettings()


async def test_a_server_without_hooks_has_no_settings_of_hooks(tmp_path: Path) -> None:
    async with open_site(tmp_path, "acme") as site:
        text = (await (await site.browser("owner")).get(SETTINGS)).text
        assert 'id="group-users"' in text
        assert 'id="group-hooks"' not in text
