"""The OpenAPI document. Anyone may read it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from server.tenants.settings import TenantSettings
from server.web import api
from server.web.api import models
from server.web.api.reading import METHODS

UNSAID = "Successful Response"
DONE = {"200": "What was asked for.", "201": "It was added.", "202": "It is queued.", "204": "It is gone."}
"""What is said instead, where a route says nothing of its own."""

PREFIX = "/api/v1"
Schema = dict[str, Any]
REFS = "#/components/schemas/{model}"

DESCRIPTION = """What became of a company's files, its users, its settings and its keys.

Requests show who they come from by `Authorization: Bearer TOKEN`; `headcount token create` makes tokens. Lists come
in pages: `next` is the cursor of the next one, and a `Link` header names it. What could not be done is told as
`application/problem+json` (RFC 9457) with a stable `code` and a sentence. Times are RFC 3339 in UTC."""

TAGS = {
    "imports": "What became of the files, and the decisions about them.",
    "users": "Who is in a tenant, as the imports left them.",
    "settings": "What a tenant may choose.",
    "keys": "The public keys a tenant logs in with over SFTP.",
    "tenants": "All companies, for the operator.",
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
    """The OpenAPI 3.1 document of all routes of the API."""
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
                    DONE.get(status, "") if answer["description"] == UNSAID else answer["description"]
                )
    schemas = found["components"]["schemas"]
    for model in (models.Problem, models.NewKey):
        schemas.update(_schemas(model))
    for name, schema in _schemas(TenantSettings).items():
        schemas.setdefault(name, schema)
    schemas["SettingsPatch"] = _patch("SettingsPatch", _or_null)
    schemas["SettingsMerge"] = _patch("SettingsMerge", lambda schema: _or_null(_any_table(schema)))
    return found


def _schemas(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model and those it names, by name."""
    schema = model.model_json_schema(ref_template=REFS)
    return {**schema.pop("$defs", {}), model.__name__: schema}


def _patch(title: str, sent: Callable[[Schema], Schema]) -> Schema:
    """Any settings; `sent` is what may be sent for one."""
    settings = _schemas(TenantSettings)["TenantSettings"]["properties"]
    properties = {name: sent(schema) for name, schema in settings.items()}
    return {
        "type": "object",
        "title": title,
        "description": "The settings to be changed; null puts a default back.",
        "properties": properties,
        "additionalProperties": False,
        "examples": [{"deactivate_missing": True, "max_deactivations_percent": 5}],
    }


def _any_table(schema: Schema) -> Schema:
    """Of a table that is merged, a part may be sent, and null for what is to go."""
    return {**schema, "additionalProperties": True} if schema.get("type") == "object" else schema


def _or_null(schema: Schema) -> Schema:
    """What `schema` describes, or null."""
    said: Schema = {name: schema[name] for name in ("title", "description") if name in schema}
    rest = {name: value for name, value in schema.items() if name not in {*said, "default"}}
    choices = rest.get("anyOf", [rest])
    null = {"type": "null"}
    return {**said, "anyOf": choices if null in choices else [*choices, null]}


@public.get(f"{PREFIX}/openapi.json")
async def show_document() -> Response:
    return JSONResponse(document(), headers={"cache-control": "no-cache"})
