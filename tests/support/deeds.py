"""Events of a company between two imports of a random history: changes by hand, and settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.support.chosen import EMBEDDED, chosen_engine

BY_HAND = (
    "UPDATE users SET job_title = 'By hand' WHERE id = :user",
    "UPDATE users SET state = 'deactivated' WHERE id = :user",
    "UPDATE users SET state = 'active' WHERE id = :user",
    "UPDATE users SET protected = NOT protected WHERE id = :user",
    "UPDATE users SET manager_id = NULL WHERE id = :user",
    "UPDATE users SET coach_id = :user WHERE id % 3 = 0",
    "UPDATE users SET email = 'hand' || id || '@x.org', email_key = 'hand' || id || '@x.org' WHERE id = :user",
    "UPDATE users SET email = 'a30@x.org', email_key = 'a30@x.org' WHERE id = :user",
    "UPDATE users SET email = NULL, email_key = NULL WHERE id = :user",
    "UPDATE users SET role = 'admin' WHERE id = :user",
    "UPDATE users SET leave_date = '2026-01-08' WHERE id = :user",
    "UPDATE users SET hire_date = NULL, location_id = NULL, primary_team_id = NULL WHERE id = :user",
    "UPDATE users SET secondary_team_ids = '' WHERE id % 2 = 1",
    "UPDATE users SET custom = replace(custom, 'D1', 'By hand')",
    "UPDATE users SET last_name = upper(last_name)",
    "UPDATE users SET id = id + 1000 WHERE id = :user",
    "DELETE FROM users WHERE id = :user",
    "DELETE FROM users WHERE id > :user",
    "UPDATE teams SET name = name || '!', key = key || '!' WHERE id = (SELECT min(id) FROM teams)",
    "DELETE FROM teams WHERE id = (SELECT max(id) FROM teams)",
    "DELETE FROM locations WHERE id = (SELECT min(id) FROM locations)",
    (
        "INSERT INTO users (id, email, email_key, first_name, last_name)"
        " SELECT coalesce(max(id), 0) + 1, 'a30@x.org', 'a30@x.org', 'N', 'W' FROM users"
    ),
)
if chosen_engine() == EMBEDDED:  # no other engine replaces rows
    BY_HAND += (
        (
            "REPLACE INTO users (id, email, email_key, first_name, last_name)"
            " VALUES (:user, 'a@x.org', 'a@x.org', 'N', 'W')"
        ),
        "REPLACE INTO teams (id, name, key) VALUES (1, 'Care', 'care')",
    )
SETTINGS: dict[str, Sequence[Any]] = {
    "identifier": ("email", "number"),
    "deactivate_missing": (True, False),
    "reactivate_returning": (True, False),
    "blank_cells": ("clear", "keep"),
    "max_deactivations_percent": (100, 100, 20),
    "detect_truncation": (False, True),
    "require_final_newline": (True, False),
    "skip_last_lines": (0, 0, 2),
    "skip_first_lines": (0, 0, 1),
    "delimiter": (",", ",", ";"),
    "encoding": ("utf-8", "utf-8", "cp1252"),
    "field_mapping": ({}, {"active": "active"}, {"End Date": "leave_date"}),
    "value_mapping": ({}, {"desk": {"none": ""}}),
    "custom_fields": (
        [{"key": "desk"}, {"key": "number"}],
        [{"key": "number"}, {"key": "desk"}],
        [{"key": "number"}],
    ),
    "invitations": ("off", "off", "immediately", "on_hire_date"),
}
FORM = ("delimiter", "encoding", "skip_first_lines", "skip_last_lines")
