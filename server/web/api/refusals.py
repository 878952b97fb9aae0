"""Every code a problem of the API may have: with which status, and when. The OpenAPI document is made of these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.web.not_done import MEDIA_TYPE

Responses = dict[int | str, dict[str, Any]]
"""The `responses` of a route, by status, as FastAPI takes them."""

CODES: Mapping[str, tuple[int, str]] = {
    "bad_json": (400, "The body is no JSON."),
    "no_token": (401, "There is no token in the request, or one that was revoked or has expired."),
    "forbidden": (403, "A viewer's token where an owner's is needed, or an owner's where the operator's is."),
    "not_found": (404, "There is nothing at this path."),
    "no_tenant": (404, "There is no such tenant, or it is not yours."),
    "unknown_import": (404, "The tenant has no import of this number."),
    "no_user": (404, "The tenant has no user of this identifier."),
    "key_unknown": (404, "The tenant has no key of this fingerprint."),
    "no_file": (404, "The file is not kept any more, or there never was one."),
    "bad_method": (405, "Not with this method; `Allow` says with which."),
    "upload_stalled": (408, "Nothing of the file came for a minute."),
    "not_held": (409, "Only a held import can be approved or discarded."),
    "held_again": (409, "It was held again meanwhile, and would touch others now: look at its list."),
    "dry_run": (409, "A dry run can't be approved, discarded or undone."),
    "nothing_to_undo": (409, "The import changed nobody."),
    "not_applied": (409, "Only an applied import can be undone."),
    "not_newest": (409, "Another import was applied after it: undo that one first."),
    "import_waits": (409, "An import waits or runs: undo when it has ended."),
    "too_many_waiting": (409, "As many imports wait as `max_waiting_imports` allows."),
    "identifier_missing": (409, "Somebody active has nothing in the field that shall be the identifier."),
    "identifier_shared": (409, "Two users have the same in the field that shall be the identifier."),
    "key_duplicate": (409, "The tenant has this key already."),
    "key_too_many": (409, "A tenant has 100 keys at most."),
    "settings_changed": (412, "The settings are not those that `If-Match` names: somebody else has changed them."),
    "too_large": (413, "The body is larger than 1 MiB."),
    "file_too_large": (413, "The file is larger than the tenant's `max_file_bytes`."),
    "quota_exceeded": (413, "The tenant's files have no room for this one."),
    "unsupported_type": (415, "Another Content-Type is needed; `Accept` says which."),
    "bad_request": (422, "A parameter or a field of the body makes no sense; `errors` names all of them."),
    "bad_setting": (422, "A setting can't have this value; `errors` names all of them."),
    "unknown_setting": (422, "There is no such setting; `errors` names all of them."),
    "key_empty": (422, "There is no key in `key`."),
    "key_multiline": (422, "There is more than one line in `key`."),
    "key_format": (422, "The key is in another format than that of a .pub file."),
    "key_type": (422, "The key is of a type that is not known."),
    "key_damaged": (422, "The key is damaged or incomplete."),
    "key_private": (422, "This is a private key. Nothing of it was kept, but it must count as known to others."),
    "key_certificate": (422, "This is a certificate; the key itself is needed."),
    "key_options": (422, "There are options before the key."),
    "key_weak": (422, "The key is too short, or of a kind that is not safe any more."),
    "key_too_long": (422, "The key has more than 16,384 bits."),
    "key_comment": (422, "The comment is too long, or holds control characters."),
    "key_expires": (422, "`expires` makes no sense, or is past."),
    "key_network": (422, "One of `networks` is no network."),
    "too_many_tries": (429, "Too many wrong tokens came from this address."),
    "too_many_trials": (429, "Ten dry runs of the tenant wait already."),
    "too_many_connections": (429, "The token has a quarter of all connections already."),
    "too_many_streams": (429, "The token has as many event streams as it may."),
    "no_folder": (503, "The tenant's folder is not there at the moment."),
    "crowded": (503, "The server has as many connections as it may."),
    "tenant_broken": (503, "The tenant's data cannot be used until the operator has fixed it."),
    "database_busy": (503, "An import of the tenant runs and holds its users; try again when it has ended."),
    "disk_error": (503, "The disk of the server could not be read or written."),
    "disk_full": (507, "The disk of the server is full."),
}

ALWAYS = ("no_token", "too_many_tries", "too_many_connections", "crowded")
LATER = ("database_busy", "disk_error", "disk_full")
"""What any route that changes something may answer."""
LOOKING = (*ALWAYS, "no_tenant", "no_folder", "tenant_broken")
"""What any route about a tenant may answer."""
OWNING = (*LOOKING, "forbidden")
DECIDING = (*OWNING, "unknown_import", "bad_request", "dry_run", *LATER)
KEY = tuple(code for code in CODES if code.startswith("key_") and code != "key_unknown")
BODY = ("bad_json", "too_large", "unsupported_type", "bad_request")

_HEADERS: Mapping[int, tuple[str, str]] = {
    401: ("WWW-Authenticate", "Bearer"),
    405: ("Allow", "The methods there are."),
    415: ("Accept", "The media types that are taken."),
    429: ("Retry-After", "Seconds to wait."),
    503: ("Retry-After", "Seconds to wait."),
}


def refuses(*codes: str) -> Responses:
    """The `responses` of a route that may refuse with these codes, by status."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(CODES[code][0], []).append(code)
    return {status: _response(status, found) for status, found in sorted(by_status.items())}


def _response(status: int, codes: list[str]) -> dict[str, Any]:
    lines = "\n".join(f"- `{code}`: {CODES[code][1]}" for code in codes)
    found: dict[str, Any] = {
        "description": lines,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status in _HEADERS:
        name, meaning = _HEADERS[status]
        found["headers"] = {name: {"description": meaning, "schema": {"type": "string"}}}
    return found
