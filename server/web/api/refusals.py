"""The codes of the API's problems, each with its status and cause. The OpenAPI document shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.web.http_problem import MEDIA_TYPE, HttpProblem

Responses = dict[int | str, dict[str, Any]]
"""The `responses` of a route, by status, for FastAPI."""

CODES: Mapping[str, tuple[int, str]] = {
    "bad_json": (400, "The body is not valid JSON."),
    "broken_body": (400, "The body ended before its Content-Length, or before its last chunk."),
    "partial_body": (400, "The request has `Content-Range`: a part of a file cannot be sent."),
    "bad_digest": (400, "`Content-Digest` has no SHA-256, or is not in the form of RFC 9530."),
    "digest_differs": (400, "The file does not have the SHA-256 of `Content-Digest`."),
    "no_token": (401, "The request has no token, or the token is unknown, revoked or expired."),
    "forbidden": (403, "The operation needs an owner's token, or the operator's."),
    "not_found": (404, "There is nothing at this path."),
    "no_tenant": (404, "The tenant does not exist, or the token belongs to another one."),
    "unknown_import": (404, "The tenant has no import with this id."),
    "unknown_run": (404, "The tenant has no run of a hook with this id."),
    "no_user": (404, "The tenant has no user with this identifier."),
    "key_unknown": (404, "The tenant has no key with this fingerprint."),
    "unknown_token": (404, "The tenant has no token with this id."),
    "no_file": (404, "The file was deleted, or there never was one."),
    "bad_method": (405, "The path does not support this method; `Allow` lists those that it supports."),
    "upload_stalled": (408, "No bytes of the file arrived for 60 seconds."),
    "not_held": (409, "Only a held import can be approved or discarded."),
    "held_again": (409, "The import was held again with other users on its list: review the list, then decide."),
    "dry_run": (409, "A dry run cannot be approved, discarded or undone."),
    "nothing_to_undo": (409, "The import changed no users."),
    "not_applied": (409, "Only an applied import can be undone."),
    "not_newest": (409, "Another import was applied after this one: undo that one first."),
    "import_waits": (409, "An import is queued or running: undo when it has ended."),
    "too_many_waiting": (409, "As many imports are queued as `max_waiting_imports` allows."),
    "not_landed": (409, "The file cannot be placed at `/sync_users.csv`; `detail` says why."),
    "not_failed": (409, "Only a failed run can be run again."),
    "hook_off": (409, "The hook is off for this tenant. Turn it on first."),
    "no_hook": (409, "The server does not have the hook of the run now, or the hook cannot run."),
    "identifier_missing": (409, "An active user has no value in the field that would become the identifier."),
    "identifier_shared": (409, "Two users share a value in the field that would become the identifier."),
    "tenant_exists": (409, "There is a tenant with this name already."),
    "no_notifications": (409, "The tenant has no notifications: set `notify_email` or `notify_webhook`."),
    "key_duplicate": (409, "The tenant has this key already."),
    "key_too_many": (409, "The tenant has 100 keys, and can have no more."),
    "token_too_many": (409, "The tenant has 100 tokens, and can have no more."),
    "last_owner": (409, "This is the last owner's token of the tenant: only the operator may end its access."),
    "changes_gone": (410, "Changes after `after` are no longer kept. Read `/users` again, and follow from `next`."),
    "settings_changed": (412, "The settings changed: they are not those that `If-Match` names. Load them again."),
    "too_large": (413, "The body is larger than 1 MiB."),
    "file_too_large": (413, "The file is larger than the tenant's `max_file_bytes`."),
    "unsupported_type": (415, "The Content-Type is not supported; `Accept` lists those that are."),
    "unsupported_coding": (415, "The request has a `Content-Encoding` other than `identity`."),
    "bad_request": (422, "A parameter or a field of the body is not valid; `errors` names all of them."),
    "digest_missing": (422, "The setting `require_checksum` is on, and there is no `Content-Digest`."),
    "bad_setting": (422, "A setting has a value that is not valid; `errors` names all of them."),
    "unknown_setting": (422, "A setting does not exist; `errors` names all of them."),
    "bad_name": (422, "`name` cannot be the name of a tenant."),
    "bad_comment": (422, "`comment` is longer than 100 characters, or has control characters."),
    "bad_email": (422, "`email` is not a valid address."),
    "bad_expiry": (422, "`expires` is not a date or time, or it is past."),
    "key_empty": (422, "`key` has no key."),
    "key_multiline": (422, "`key` has more than one line."),
    "key_format": (422, "The key does not have the format of a .pub file."),
    "key_type": (422, "The type of the key is unknown."),
    "key_damaged": (422, "The key is damaged or incomplete."),
    "key_private": (
        422,
        "This is a private key. It was not stored, but others may know it now: create a new key pair.",
    ),
    "key_certificate": (422, "This is a certificate. Send the key itself."),
    "key_options": (422, "There are options before the key. Remove them."),
    "key_weak": (422, "The key is too short, or its type is no longer safe."),
    "key_too_long": (422, "The key has more than 16,384 bits."),
    "key_comment": (422, "The comment is too long, or has control characters."),
    "key_expires": (422, "`expires` is not a date or time, or it is past."),
    "key_network": (422, "One of `networks` is not a network."),
    "too_many_tries": (429, "Too many wrong tokens came from this address."),
    "too_many_trials": (429, "Ten dry runs of the tenant are queued already."),
    "too_many_tests": (429, "The notifications of the tenant were tested ten times within an hour."),
    "too_many_connections": (429, "The token has a quarter of all connections already."),
    "too_many_streams": (429, "The token has as many event streams as `MAX_EVENT_STREAMS_PER_TOKEN` allows."),
    "no_folder": (503, "The tenant's folder is missing."),
    "crowded": (503, "The server has as many connections as it allows."),
    "tenant_broken": (503, "The tenant's data cannot be used until the operator fixes it."),
    "database_busy": (503, "A running import locks the tenant's users: try again when it has ended."),
    "disk_error": (503, "The server's disk could not be read or written."),
    "quota_exceeded": (507, "The file does not fit into the tenant's `quota_bytes` or `quota_files`."),
    "disk_full": (507, "The server's disk is full."),
}

ALWAYS = ("no_token", "bad_request", "too_many_tries", "too_many_connections", "crowded")
"""The codes of every route. A query parameter that comes twice is refused everywhere."""
LATER = ("database_busy", "disk_error", "disk_full")
"""The codes of every route that changes data."""
LOOKING = (*ALWAYS, "no_tenant", "no_folder", "tenant_broken")
"""The codes of every route of a tenant."""
OWNING = (*LOOKING, "forbidden")
DECIDING = (*OWNING, "unknown_import", "bad_request", "dry_run", *LATER)
KEY = tuple(code for code in CODES if code.startswith("key_") and code != "key_unknown")
BODY = ("bad_json", "too_large", "unsupported_type", "bad_request")

_HEADERS: Mapping[int, tuple[str, str]] = {
    401: ("WWW-Authenticate", "Bearer"),
    405: ("Allow", "The supported methods."),
    415: ("Accept", "The supported media types."),
    429: ("Retry-After", "Seconds to wait before the next attempt."),
    503: ("Retry-After", "Seconds to wait before the next attempt."),
}


def refuses(*codes: str) -> Responses:
    """Return the `responses` of a route that may answer with these codes, by status."""
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(CODES[code][0], []).append(code)
    return {status: _response(status, found) for status, found in sorted(by_status.items())}


def _response(status: int, codes: list[str]) -> dict[str, Any]:
    lines = "\n".join(f"- `{code}`: {CODES[code][1]}" for code in codes)
    example = HttpProblem(status, CODES[codes[0]][1], code=codes[0]).to_json()
    found: dict[str, Any] = {
        "description": lines,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
    }
    if status in _HEADERS:
        name, meaning = _HEADERS[status]
        found["headers"] = {name: {"description": meaning, "schema": {"type": "string"}}}
    return found
