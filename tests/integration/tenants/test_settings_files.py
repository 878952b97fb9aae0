"""Settings as a file: shown, edited and loaded completely; and the history of changes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.tenants.settings import TenantSettings, changed
from server.tenants.settings_toml import from_toml, to_toml
from tests.integration.reconcile.test_hr_exports import HR_EXPORT
from tests.support.cli import run_cli
from tests.support.installation import installation

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
EDITED: dict[str, Any] = {
    "delimiter": "\t",
    "date_format": "%d.%m.%Y",
    "max_updates_percent": 12.5,
    "allowed_networks": ["192.0.2.0/24"],
    "notify_email": ["ann@example.com"],
    "field_mapping": {"E-Mail (\u201cwork\u201d)": "email", 'A "quoted\\" one': "shift", "x\x7f": ""},
    "value_mapping": {"role": {"Chef": "admin", "n/a": ""}, "shift": {"F": "Early"}},
    "custom_fields": [
        {"key": "badge", "label": "Badge No."},
        {"key": "shift", "type": "choice", "choices": ["Early", "Late"]},
    ],
    "identifier": "badge",
}


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installation(tmp_path / "data").use(monkeypatch)
    assert run_cli("tenant", "add", "acme").code == 0


def loaded(text: str) -> TenantSettings:
    return changed(TenantSettings(), from_toml(text))


@pytest.mark.parametrize("chosen", [{}, EDITED])
def test_settings_shown_as_a_file_are_the_same_when_loaded(chosen: Mapping[str, Any]) -> None:
    settings = TenantSettings.model_validate(chosen)
    again = loaded(to_toml("acme", settings, NOW))
    assert again == settings
    assert list(again.field_mapping) == list(settings.field_mapping)


def test_a_pause_that_has_ended_is_not_in_the_file() -> None:
    """Another tenant could not load it, nor the same one after a reset: the time is past."""
    lasting = TenantSettings.model_validate({"paused_until": "2026-11-28T12:00:01Z", "paused_because": "Migration"})
    assert from_toml(to_toml("acme", lasting, NOW)) == {
        "paused_until": lasting.paused_until,
        "paused_because": "Migration",
    }
    ended = lasting.model_copy(update={"paused_until": "2026-11-28T12:00:00.000Z"})
    assert from_toml(to_toml("acme", ended, NOW)) == {}


@given(st.dictionaries(st.text(min_size=1), st.text(max_size=5), min_size=1, max_size=3))
@example({"\ufffd\x7f": "\ufffd"})
def test_any_words_survive_the_file(words: dict[str, str]) -> None:
    settings = TenantSettings.model_construct(value_mapping={"role": words})
    assert from_toml(to_toml("acme", settings, NOW)).get("value_mapping", {}) == (
        {"role": words} if words else {"role": {}}
    )


@pytest.mark.usefixtures("acme")
def test_a_settings_file_is_shown_edited_and_loaded_whole() -> None:
    run_cli("tenant", "set", "acme", "deactivate_missing=true", "max_sessions=3")
    shown = run_cli("tenant", "show", "acme", "--toml")
    assert "\ndeactivate_missing = true\n" in shown.text
    assert "\n# retention_days = 90\n" in shown.text
    edited = shown.text.replace("max_sessions = 3", "max_sessions = 4")
    edited = edited.replace('# delimiter = ","', 'delimiter = ";"') + '[field_mapping]\n"Mail" = "email"\n'
    ran = run_cli("tenant", "load", "acme", "-", "--json", stdin=edited.encode())
    assert (ran.code, ran.err) == (0, "")
    after = ran.json
    assert (after["deactivate_missing"], after["max_sessions"], after["delimiter"]) == (True, 4, ";")
    assert after["field_mapping"] == {"Mail": "email"}
    # Loading a file resets every setting that it does not name.
    again = run_cli("tenant", "load", "acme", "-", "--json", stdin=b"max_sessions = 4\n").json
    assert again == TenantSettings(max_sessions=4).to_json()


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("delimiter = ;", "not valid TOML"),
        ('[field_mapping]\n"Stra\udcdfe" = "location"', "the file is not UTF-8 text. Save it as UTF-8"),
        ('delimeter = ";"', "did you mean delimiter?"),
        ('delimiter = ";"\nidentifier = "badge"', "identifier must be email or the key"),
    ],
)
def test_an_invalid_settings_file_changes_nothing(text: str, reason: str) -> None:
    ran = run_cli("tenant", "load", "acme", "-", stdin=text.encode(errors="surrogateescape"))
    assert ran.code == 1
    assert reason in ran.err
    assert run_cli("tenant", "show", "acme", "--json").json["settings"] == TenantSettings().to_json()
    assert run_cli("tenant", "history", "acme", "--json").json == []


@pytest.mark.usefixtures("acme")
def test_a_limit_above_the_integers_of_a_database_is_wrong_usage() -> None:
    assert run_cli("tenant", "history", "acme", "--limit", "9" * 20).code == 2
    assert run_cli("notify", "list", "acme", "--limit", "9" * 20).code == 2


@pytest.mark.usefixtures("acme")
def test_every_change_of_a_setting_is_kept_with_who_and_when() -> None:
    run_cli("tenant", "set", "acme", "max_sessions=3", "blank_cells=keep")
    run_cli("tenant", "set", "acme", "max_sessions=3")  # nothing new
    run_cli("tenant", "load", "acme", "-", stdin=b'[field_mapping]\n"Mail" = "email"\n')
    history = run_cli("tenant", "history", "acme", "--json").json
    assert [(entry["key"], entry["old"], entry["new"]) for entry in history] == [
        ("max_sessions", 3, 10),
        ("field_mapping", {}, {"Mail": "email"}),
        ("blank_cells", "keep", "clear"),
        ("max_sessions", 10, 3),
        ("blank_cells", "clear", "keep"),
    ]
    assert {entry["changed_by"] for entry in history} == {"operator"}
    assert all(entry["changed_at"].endswith("Z") for entry in history)
    assert "field_mapping" in run_cli("tenant", "history", "acme", "--limit", "2").text


@pytest.mark.usefixtures("acme")
def test_check_proposes_settings_that_make_the_export_go_in(tmp_path: Path) -> None:
    file, proposed = tmp_path / "export.csv", tmp_path / "acme.toml"
    file.write_bytes(HR_EXPORT.replace(b"ManagerMail", b"Manager E-Mail"))
    first = run_cli("check", "acme", str(file), "--json", "--propose", str(proposed))
    assert (first.code, first.json["state"]) == (1, "failed")
    proposal = first.json["advice"]
    assert {*proposal["settings"]} == {
        *("delimiter", "encoding", "date_format", "field_mapping", "custom_fields", "identifier"),
    }
    assert proposal["toml"] == proposed.read_text("utf-8")
    assert (proposal["state"], proposal["counts"]["created"]) == ("completed", 2)
    # Nothing has changed yet.
    assert run_cli("tenant", "show", "acme", "--json").json["settings"] == TenantSettings().to_json()
    assert run_cli("tenant", "load", "acme", str(proposed)).code == 0
    again = run_cli("check", "acme", str(file), "--json")
    assert (again.code, again.json["state"], again.json["counts"]["created"]) == (0, "completed", 2)
    assert again.json["advice"] is None


@pytest.mark.usefixtures("acme")
def test_a_printed_proposal_can_be_saved_and_loaded(tmp_path: Path) -> None:
    ran = run_cli("check", "acme", "-", stdin=b"first_name;last_name;E-Mail\nAnn;Lee;ann@lee.test\n")
    assert ran.code == 1
    assert "With these settings: completed, 1 created" in ran.text
    assert "tenant load acme FILE" in ran.text
    settings = ran.text[ran.text.index("# Settings of acme") :]
    assert run_cli("tenant", "load", "acme", "-", stdin=settings.encode()).code == 0
    after = run_cli("tenant", "show", "acme", "--json").json["settings"]
    assert (after["delimiter"], after["field_mapping"]) == (";", {"E-Mail": "email"})


@pytest.mark.usefixtures("acme")
def test_problems_that_no_setting_can_fix_are_named() -> None:
    ran = run_cli("check", "acme", "-", stdin=b'name,email\n"Lee, Ann",ann@lee.test\n')
    assert "No column looks like first_name" in ran.text
    fine = run_cli("check", "acme", "-", "--json", stdin=b"first_name,last_name,email\nAnn,Lee,ann@lee.test\n")
    assert (fine.code, fine.json["advice"]) == (0, None)


@pytest.mark.usefixtures("acme")
def test_commands_turn_on_invitations_only_with_a_link(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b'invitations = "immediately"\n'
    tries = [(("tenant", "load", "acme", "-"), text), (("tenant", "set", "acme", "invitations=immediately"), b"")]
    for command, stdin in tries:
        refused = run_cli(*command, stdin=stdin)
        assert refused.code == 1
        assert "an invitation needs a link. Add one that begins with https://" in refused.err
    monkeypatch.setenv("HEADCOUNT_HTTP_PUBLIC_URL", "https://hr.example.com")
    assert [run_cli(*command, stdin=stdin).code for command, stdin in tries] == [0, 0]
