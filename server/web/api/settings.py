"""`/settings`: the settings of a tenant, with an ETag so that two owners cannot overwrite each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request, Response

from importer.model import INTEGER_MAX
from server.tenants.settings import CHANGED_MEANWHILE, TenantSettings, etag
from server.web.api import models
from server.web.api.asking import (
    JSON,
    Asked,
    Before,
    Limit,
    Looking,
    Owning,
    Routes,
    body_of,
    listed,
    media_type_of,
)
from server.web.api.refusals import BODY, LATER, LOOKING, OWNING, Responses, refuses
from server.web.http_problem import HttpProblem

router = Routes(prefix="/tenants/{tenant}/settings", tags=["settings"])

MERGE_PATCH = "application/merge-patch+json"
TYPES = (JSON, MERGE_PATCH)
TAGGED: Responses = {
    200: {"headers": {"ETag": {"description": "Identifies these settings.", "schema": {"type": "string"}}}}
}


JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
    "null": (),
}
TYPES_OF: Mapping[str, frozenset[str]] = {
    name: frozenset(each["type"] for each in schema.get("anyOf", [schema]))
    for name, schema in TenantSettings.model_json_schema()["properties"].items()
}
"""The JSON types of each setting."""


class HistoryAsked(Asked):
    before: Before | None = None
    limit: Limit = 100


async def _changes(request: Request) -> dict[str, Any]:
    """Return the body: an object of settings. Raises HttpProblem."""
    content = await body_of(request, TYPES)
    if not isinstance(content, dict):
        raise HttpProblem(422, "The body must be a JSON object of settings.", code="bad_request")
    wrong = wrong_types(content)
    if wrong:
        name, sentence = next(iter(wrong.items()))
        raise HttpProblem(422, f"{name}: {sentence}.", code="bad_setting", errors=wrong)
    return content


@router.get("", response_model=TenantSettings, responses={**TAGGED, **refuses(*LOOKING)}, summary="Show settings")
async def show_settings(visit: Looking, response: Response) -> TenantSettings:
    """All settings of the tenant, including those at their defaults."""
    settings = await visit.settings()
    response.headers["etag"] = _quoted(settings)
    return settings


@router.patch(
    "",
    response_model=TenantSettings,
    responses={
        **TAGGED,
        **refuses(
            *OWNING,
            *BODY,
            *("bad_setting", "unknown_setting", "settings_changed", "identifier_missing", "identifier_shared"),
            *LATER,
        ),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": {"$ref": "#/components/schemas/SettingsPatch"}},
                MERGE_PATCH: {"schema": {"$ref": "#/components/schemas/SettingsMerge"}},
            },
        }
    },
    summary="Change settings",
)
async def change_settings(
    visit: Owning,
    response: Response,
    changes: Annotated[dict[str, Any], Depends(_changes)],
    request: Request,
    if_match: Annotated[str | None, Header(description="The ETag of the settings that you loaded.")] = None,
) -> TenantSettings:
    """Change all settings that the body names, or none; null resets one to its default.

    As `application/json`, a table or list replaces the current one. As `application/merge-patch+json` (RFC 7396), a
    table is merged with the current one. With `If-Match`, nothing is changed if the settings changed since you loaded
    them. Every change is recorded with the name of your token.
    """
    now = await visit.settings()
    by_merging = media_type_of(request) == MERGE_PATCH
    if by_merging:
        changes = merged(now.to_json(), changes)
    visit.office.tenants.changed(now, changes)  # refuse invalid values before a conflict with another owner
    expected = _expected(if_match, now) or (etag(now) if by_merging else None)
    settings = await visit.office.tenants.change_settings(
        visit.tenant, changes, by=visit.token.bearer, expected=expected
    )
    response.headers["etag"] = _quoted(settings)
    return settings


@router.get(
    "/history",
    response_model=models.SettingChanges,
    responses=refuses(*LOOKING, "bad_request"),
    summary="List changes of settings",
)
async def list_settings_history(
    visit: Looking, asked: Annotated[HistoryAsked, Query()], request: Request, response: Response
) -> dict[str, Any]:
    """The changes of settings, newest first: time, author, setting, old and new value."""
    before = asked.before or INTEGER_MAX
    changes, older = await visit.office.tenants.settings_history(visit.tenant, asked.limit, before)
    return listed(request, response, "changes", changes, older, "before")


def wrong_types(changes: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings whose JSON type is not that of the document, each with a sentence. Pure.

    A form or a command line sends text, where `0` may mean false. In JSON, a wrong type is a mistake.
    """
    known = {name: value for name, value in changes.items() if name in TYPES_OF and value is not None}
    return {
        name: f"must be of type {' or '.join(sorted(TYPES_OF[name] - {'null'}))}"
        for name, value in known.items()
        if not any(isinstance(value, JSON_TYPES[kind]) for kind in TYPES_OF[name])
        or (isinstance(value, bool) and "boolean" not in TYPES_OF[name])
    }


def merged(now: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the new values of the settings in `patch` (RFC 7396): tables are merged, others replaced. Pure."""
    return {
        name: _merge(now[name], value) if isinstance(value, dict) and name in now else value
        for name, value in patch.items()
    }


def _merge(now: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    found = dict(now) if isinstance(now, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = _merge(found.get(name), value)
    return found


def _expected(if_match: str | None, now: TenantSettings) -> str | None:
    """Return the ETag that the settings must have when they change (RFC 9110, 13.1.1). Raises HttpProblem 412."""
    if if_match is None or if_match.strip() == "*":
        return None
    if _quoted(now) not in {each.strip() for each in if_match.split(",")}:
        raise HttpProblem(412, CHANGED_MEANWHILE, code="settings_changed")
    return etag(now)


def _quoted(settings: TenantSettings) -> str:
    return f'"{etag(settings)}"'
