"""The OpenAPI document. It needs no token."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from server.tenants.settings import TenantSettings
from server.web import api
from server.web.api import access_models, examples, models, webhooks
from server.web.api.asking import origin_of
from server.web.api.reading import METHODS

DEFAULT_DESCRIPTION = "Successful Response"
DONE = {"200": "The result.", "201": "Added.", "202": "Queued.", "204": "Done; no content."}
"""The description of an answer for which the route has none."""

PREFIX = "/api/v1"
Schema = dict[str, Any]
REFS = "#/components/schemas/{model}"

DESCRIPTION = """The imports, files of hooks, users, settings, keys and tokens of a company.

A request needs the header `Authorization: Bearer TOKEN`; `headcount token create` creates a token. Lists come in
pages: `next` is the cursor of the next page, and a `Link` header names that page. An error is
`application/problem+json` (RFC 9457) with a stable `code` and a sentence. Times are RFC 3339 in UTC."""

TAGS = {
    "imports": "The imports of uploaded files, and the decisions about them.",
    "runs": "The files that other hooks than `sync_users` received, and what they did with them.",
    "users": "The users of a tenant, as they are now.",
    "settings": "The settings of a tenant.",
    "keys": "The public keys for SFTP logins of a tenant.",
    "tokens": "The tokens of a tenant, for its owners and the operator.",
    "notifications": "The mails and webhooks about imports of a tenant.",
    "tenants": "All tenants, for the operator.",
}

TENANT = {
    "name": "tenant",
    "in": "path",
    "required": True,
    "description": "The name of the tenant.",
    "schema": {"type": "string"},
    "examples": {"acme": {"value": "acme"}},
}

public = APIRouter(include_in_schema=False)


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of all routes of the API."""
    routes = APIRouter()
    routes.include_router(api.router, prefix=PREFIX)
    tags = [{"name": name, "description": text} for name, text in TAGS.items()]
    found = get_openapi(title="Headcount", version="1", description=DESCRIPTION, tags=tags, routes=routes.routes)
    for path, item in found["paths"].items():
        if "{tenant}" in path:
            item["parameters"] = [TENANT]
        for operation in (item[method] for method in METHODS if method in item):
            for status, answer in operation["responses"].items():
                answer["description"] = (
                    DONE.get(status, "") if answer["description"] == DEFAULT_DESCRIPTION else answer["description"]
                )
    schemas = found["components"]["schemas"]
    described: tuple[type[BaseModel], ...] = (
        models.Problem,
        access_models.NewKey,
        access_models.NewToken,
        access_models.TokenPatch,
        access_models.NewTenant,
        *webhooks.MODELS,
    )
    for model in described:
        schemas.update(_schemas(model))
    for name, schema in _schemas(TenantSettings).items():
        schemas.setdefault(name, schema)
    schemas["SettingsPatch"] = _patch("SettingsPatch", _or_null)
    schemas["SettingsMerge"] = _patch("SettingsMerge", lambda schema: _or_null(_any_table(schema)))
    found["webhooks"] = webhooks.webhooks()
    examples.add_to(found)
    return found


def _schemas(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schemas of a model and the models that it refers to, by name."""
    schema = model.model_json_schema(ref_template=REFS)
    return {**schema.pop("$defs", {}), model.__name__: schema}


def _patch(title: str, sent: Callable[[Schema], Schema]) -> Schema:
    """Return the schema of a body that changes settings; `sent` turns a setting's schema into its new value's."""
    settings = _schemas(TenantSettings)["TenantSettings"]["properties"]
    properties = {name: sent(schema) for name, schema in settings.items()}
    return {
        "type": "object",
        "title": title,
        "description": "The settings to change; null resets one to its default.",
        "properties": properties,
        "additionalProperties": False,
        "examples": [{"deactivate_missing": True, "max_deactivations_percent": 5}],
    }


def _any_table(schema: Schema) -> Schema:
    """Return the schema of a table to merge: any part of it, and null for an entry to remove."""
    return {**schema, "additionalProperties": True} if schema.get("type") == "object" else schema


def _or_null(schema: Schema) -> Schema:
    """Return the schema of a value of `schema`, or null."""
    said: Schema = {name: schema[name] for name in ("title", "description") if name in schema}
    rest = {name: value for name, value in schema.items() if name not in {*said, "default"}}
    choices = rest.get("anyOf", [rest])
    null = {"type": "null"}
    return {**said, "anyOf": choices if null in choices else [*choices, null]}


@public.get(f"{PREFIX}/openapi.json")
async def show_document(request: Request) -> Response:
    servers = [{"url": origin_of(request), "description": "This server."}]
    return JSONResponse({**document(), "servers": servers}, headers={"cache-control": "no-cache"})
