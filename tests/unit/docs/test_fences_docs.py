"""The limits in docs/operating.md: every setting of a limit is in the tables, with the default of the code."""

from __future__ import annotations

import re

from pydantic import ByteSize
from pydantic.fields import FieldInfo

from server.settings import ServerSettings
from server.sftp.caps import MOST_CONNECTIONS, MOST_HANDSHAKES
from server.sftp.handler import MAX_PACKET
from server.tenants.settings import TenantSettings
from server.web import forms, slow_clients, slowing
from server.web.api.asking import BODY_BYTES_MOST
from server.web.crowd import CONNECTIONS, SPARE
from server.web.office import TEST_NOTIFICATIONS
from tests.support import ROOT

SECTION = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8").split("\n## Limits\n")[1].split("\n## ")[0]
ROWS = [
    row.split(" | ") for row in re.findall(r"^\| (.+) \|$", SECTION, re.MULTILINE) if not row.startswith("limit |")
]
LIMITS = re.compile(
    r"max_|quota_|penalty_|unbanned_|trusted_balancers|login_grace|idle_|keepalive_|allowed_networks", re.ASCII
)
OF_THE_GUARD = {"max_deactivations_percent", "max_deactivations_min", "max_creations_percent", "max_updates_percent"}
"""Limits of the guard, which holds imports: they protect users, not other clients."""

SEEN_BY = {
    "all connections": [
        "a_connection_beyond_the_limit_gets_no_details",
        "above_the_cap_only_health_checks_are_answered",
    ],
    "connections without a login": [
        "connections_without_a_login_are_limited_in_all",
        "the_address_with_the_most_connections_loses_one",
        "many_connections_without_a_login_do_not_stop_http_or_tenants",
    ],
    "connections without a login of one address (IPv6: one /64)": [
        "connections_without_a_login_are_limited_per_address"
    ],
    "time to log in": ["a_client_that_does_not_log_in_is_disconnected"],
    "refused login attempts": ["too_many_login_attempts_end_the_connection_with_the_reason"],
    "penalties of a source ([Bans](#bans)), in seconds": [
        "a_client_that_offers_five_wrong_keys_is_not_banned",
        "refused_logins_ban_only_their_source",
        "a_connection_without_a_login_within_the_grace_time_has_its_own_penalty",
    ],
    "bans of a source, in seconds": [
        "a_flood_without_logins_is_banned_while_a_tenant_elsewhere_works",
        "bans_of_an_address_with_a_session_are_short",
    ],
    "networks without bans and address limits": ["networks_on_the_allow_list_are_neither_banned_nor_capped"],
    "PROXY headers": [
        "a_ban_applies_to_the_client_behind_the_balancer",
        "a_connection_without_a_usable_header_is_closed_with_one_log_line",
    ],
    "networks of a tenant, or of a key": [
        "a_client_from_a_network_that_is_not_allowed_cannot_log_in",
        "a_key_logs_in_only_from_its_networks",
    ],
    "sessions of a tenant": ["a_session_beyond_the_limit_gets_the_reason"],
    "channels of a connection": ["channels_of_a_connection_are_limited"],
    "open files and folders of a connection": ["open_files_count_over_all_channels_of_a_connection"],
    "open files and folders of a tenant": ["open_files_count_over_all_connections_of_a_tenant"],
    "open files and folders of all tenants": ["open_files_of_all_tenants_are_limited_by_the_descriptors"],
    "bytes of one READ": ["a_read_is_answered_with_at_most_the_configured_bytes"],
    "size of an SFTP packet": ["a_packet_longer_than_any_client_sends_ends_the_session"],
    "SFTP versions before 3": ["a_client_of_a_version_before_3_is_refused"],
    "storage: bytes, files, largest file": [
        "the_quota_counts_visible_files_and_unfinished_uploads",
        "files_and_folders_are_limited_in_number_but_a_file_can_be_replaced",
        "changed_limits_apply_to_open_sessions_within_seconds",
    ],
    "waiting imports": ["a_file_is_refused_with_the_reason_while_too_many_imports_wait"],
    "time without a request": ["an_idle_client_is_disconnected_with_the_reason"],
    "unanswered keepalives": ["a_client_that_does_not_answer_keepalives_is_disconnected"],
    "connections without a valid token": ["idle_connections_block_no_new_client"],
    "connections of one address (IPv6: one /64)": ["behind_a_proxy_the_forwarded_address_is_counted"],
    "connections with one token": ["a_token_above_its_share_is_refused_and_another_is_answered"],
    "connections only for `/healthz`, `/readyz` and `/metrics`": [
        "idle_connections_without_a_token_block_no_other_client"
    ],
    "event streams of one token": ["an_event_stream_above_the_cap_is_refused_until_another_ends"],
    "tests of a tenant's notifications in an hour": [
        "the_notifications_of_a_tenant_are_tested_at_most_ten_times_an_hour"
    ],
    "wrong tokens of one address at once": ["wrong_tokens_at_once_are_refused_while_a_right_one_is_answered"],
    "size of a form, except a file to test": ["a_form_above_1_mib_is_refused"],
    "size of an API request body, except a file": ["a_body_that_is_too_large_is_refused"],
    "size of a request head": ["a_head_of_a_request_that_is_too_long_is_answered_with_400"],
    "time to send a request head": ["a_head_sent_byte_by_byte_gets_no_more_time"],
    "time without progress of a request body or an answer": ["a_client_that_stalls_is_disconnected"],
}
"""The tests that reach each limit as a client does."""

FIELDS: dict[str, FieldInfo] = {**ServerSettings.model_fields, **TenantSettings.model_fields}


def documented() -> dict[str, str]:
    """The documented default of each setting, by its name."""
    found = re.findall(r"`(\w+)`[,:]? ([^;`|]+)", " ; ".join(row[1] for row in ROWS))
    return {name.lower(): default.strip(" ;") for name, default in found}


def test_every_setting_of_a_limit_is_in_the_tables_and_no_other() -> None:
    names = {name for name in FIELDS if LIMITS.match(name)} - OF_THE_GUARD - {"max_row_drop_percent"}
    assert documented().keys() == names


def test_the_defaults_in_the_tables_are_those_of_the_code() -> None:
    for name, default in documented().items():
        if name in FIELDS:
            assert default.removesuffix(", or fewer") in _ways_to_write(FIELDS[name].default, name), name


def _ways_to_write(default: object, name: str) -> set[str]:
    if isinstance(default, ByteSize | int) and default % 1024**3 == 0 and default:
        return {f"{default // 1024**3} GiB"}
    if isinstance(default, int | float):
        return {f"{default:,.0f}"}
    of_descriptors = {
        "max_connections": f"from the descriptors, at most {MOST_CONNECTIONS:,}",
        "max_handshakes": f"half of those, at most {MOST_HANDSHAKES:,}",
        "max_http_connections": f"from the descriptors, at most {CONNECTIONS:,}",
    }
    assert not default
    return {of_descriptors[name]} if name in of_descriptors else {"none", "any"}


def test_the_limits_without_a_setting_are_those_of_the_code() -> None:
    documented_as = {row[0]: row[1] for row in ROWS}
    assert documented_as["size of an SFTP packet"] == f"{MAX_PACKET // 1024} KiB"
    assert documented_as["connections only for `/healthz`, `/readyz` and `/metrics`"] == f"{SPARE} more"
    assert documented_as["tests of a tenant's notifications in an hour"] == f"{TEST_NOTIFICATIONS}"
    assert documented_as["wrong tokens of one address at once"] == f"{slowing.WAITING_MOST}"
    assert documented_as["size of a form, except a file to test"] == f"{forms.FORM_BYTES_MOST // 1024**2} MiB"
    assert documented_as["size of an API request body, except a file"] == f"{BODY_BYTES_MOST // 1024**2} MiB"
    assert documented_as["time to send a request head"] == f"{slow_clients.HEAD_S:.0f} seconds"
    assert (
        documented_as["time without progress of a request body or an answer"]
        == f"{slow_clients.STALLED_S:.0f} seconds"
    )


def test_every_limit_has_a_test_that_reaches_it() -> None:
    assert {row[0] for row in ROWS} == SEEN_BY.keys()
    sources = [*(ROOT / "tests" / "integration").rglob("*.py"), *(ROOT / "tests" / "system").rglob("*.py")]
    tests = set(re.findall(r"def test_(\w+)", "".join(source.read_text(encoding="utf-8") for source in sources)))
    assert not {name for names in SEEN_BY.values() for name in names} - tests
