"""The label and explanation of each setting: short, complete, and true of the code that obeys the setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from importer.model import Counts, GuardReason
from importer.queue.checksum import CHECKSUM_WAIT
from importer.reconcile.plan import guard_reasons
from server.tenants.setting_texts import SETTING_TEXTS, Group
from server.tenants.settings import TenantSettings
from tests.support import ROOT
from tests.support.sentences import assert_short

PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


def row_of(setting: str) -> str:
    """The row of the setting in docs/settings.md."""
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{setting}` |")]
    return row


def held(deactivated: int, active: int, **settings: Any) -> bool:
    """Whether an import with so many deactivations is held for them."""
    chosen = TenantSettings(**settings)
    reasons = guard_reasons(Counts(deactivated=deactivated), active, active, False, chosen)
    return GuardReason.TOO_MANY_DEACTIVATIONS in reasons


def test_every_setting_has_a_label_and_an_explanation() -> None:
    assert SETTING_TEXTS.keys() == TenantSettings.model_fields.keys()
    assert len({text.label for text in SETTING_TEXTS.values()}) == len(SETTING_TEXTS)
    for text in SETTING_TEXTS.values():
        assert text.explanation.endswith(".")


def test_every_group_has_settings() -> None:
    assert [text.group for text in SETTING_TEXTS.values()] == sorted(
        (text.group for text in SETTING_TEXTS.values()), key=list(Group).index
    )
    assert {text.group for text in SETTING_TEXTS.values()} == set(Group)


def test_the_sentences_of_explanations_are_short() -> None:
    assert_short("\n\n".join(text.explanation for text in SETTING_TEXTS.values()))


def test_the_schema_of_the_settings_explains_each() -> None:
    properties = TenantSettings.model_json_schema()["properties"]
    assert {name: (field["title"], field["description"]) for name, field in properties.items()} == {
        name: (text.label, text.explanation) for name, text in SETTING_TEXTS.items()
    }


@pytest.mark.parametrize(
    ("deactivated", "active", "settings", "is_held"),
    [
        (11, 100, {}, True),
        (10, 100, {}, False),
        (5, 20, {}, False),
        (6, 20, {}, True),
        (5, 8, {}, True),
        (4, 8, {}, False),
        (2, 3, {}, True),
        (1, 1, {}, False),
        (1, 1, {"max_deactivations_min": 0}, True),
        (5, 8, {"max_deactivations_min": 100, "max_deactivations_percent": 99}, True),
        (8, 8, {"max_deactivations_percent": 100}, False),
    ],
)
def test_the_deactivation_limit_holds_what_its_explanation_says(
    deactivated: int, active: int, settings: Mapping[str, Any], is_held: bool
) -> None:
    """A larger share than the limit, and more than the small number; or more than half, and at least 2."""
    percent, small = settings.get("max_deactivations_percent", 10), settings.get("max_deactivations_min", 5)
    over = deactivated * 100 > percent * active and deactivated > small
    half = deactivated * 2 > active and deactivated >= 2
    assert held(deactivated, active, **settings) is is_held is (percent < 100 and (over or half))


def test_the_explanations_of_the_deactivation_limit_name_the_half_and_100() -> None:
    for text in (SETTING_TEXTS["max_deactivations_percent"].explanation, row_of("max_deactivations_percent")):
        assert "more than half" in text
        assert "100 turns" in text
    for text in (SETTING_TEXTS["max_deactivations_min"].explanation, row_of("max_deactivations_min")):
        assert (
            "more than half of the active users (at least 2) are held anyway, unless the limit is 100" in text.lower()
        )
    assert "with 8 active users, deactivating 5 of them is held" in row_of("max_deactivations_min")


def test_a_possibly_incomplete_file_is_held_only_for_absent_users() -> None:
    """As the explanation of detect_truncation says: leavers by the column alone do not hold the import."""
    by_column, absent = Counts(deactivated=1), Counts(deactivated=1, deactivated_absent=1)
    found = [guard_reasons(counts, 100, 100, True, TenantSettings()) for counts in (by_column, absent)]
    assert found == [[], [GuardReason.POSSIBLY_TRUNCATED]]
    assert "users who are not in the file" in SETTING_TEXTS["detect_truncation"].explanation
    assert "absent users" in row_of("detect_truncation")


def test_the_creation_limit_does_not_apply_while_there_are_no_users() -> None:
    chosen = TenantSettings(max_creations_percent=10)
    found = [guard_reasons(Counts(created=9), 0, users, False, chosen) for users in (0, 1)]
    assert found == [[], [GuardReason.TOO_MANY_CREATIONS]]
    assert "while there are no users" in SETTING_TEXTS["max_creations_percent"].explanation
    assert "while the tenant has no users" in row_of("max_creations_percent")


def test_the_wait_for_a_checksum_is_the_one_that_is_explained() -> None:
    minutes = f"at most {CHECKSUM_WAIT.total_seconds() / 60:.0f} minutes"
    assert minutes in SETTING_TEXTS["require_checksum"].explanation
    assert minutes in row_of("require_checksum")
