"""An example of every body in the OpenAPI document, made from the examples of its schema. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MOMENT = "2026-03-02T06:00:04.120Z"
CSV = "first_name,last_name,email\r\nAnn,Smith,ann@example.com\r\n"
FILES = {
    "text/csv": CSV,
    "application/octet-stream": CSV,
    "application/jsonl": '{"first_name": "Ann", "last_name": "Smith", "email": "ann@example.com"}\n',
    "text/event-stream": "id: 31\nevent: state\n"
    'data: {"tenant": "acme", "import": 8, "state": "completed", "progress": null}\n\n',
}
"""The beginning of a file, by media type."""

Schema = Mapping[str, Any]


def add_to(document: dict[str, Any]) -> None:
    """Add an example to every body of the document that has none."""
    schemas = document["components"]["schemas"]
    for media_type, content in bodies_of(document):
        if "example" not in content:
            content["example"] = FILES[media_type] if media_type in FILES else example_of(content["schema"], schemas)


def bodies_of(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the media type and the description of every body, sent or received."""
    for item in (*document["paths"].values(), *document["webhooks"].values()):
        for operation in item.values():
            if isinstance(operation, dict):
                yield from operation.get("requestBody", {}).get("content", {}).items()
                for answer in operation["responses"].values():
                    yield from answer.get("content", {}).items()


def example_of(schema: Schema, schemas: Mapping[str, Schema]) -> Any:
    """Return a value that fits `schema`, with the examples in it; `schemas` are those that it refers to, by name."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rsplit("/", 1)[-1]], schemas)
    if "examples" in schema:
        return schema["examples"][0]
    for name in ("default", "const"):
        if name in schema:
            return schema[name]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        first = schema["anyOf"][0]
        unset = {"type": "null"} in schema["anyOf"] and not {"$ref", "examples", "items"} & first.keys()
        return None if unset else example_of(first, schemas)
    return _of_type(schema, schemas)


def _of_type(schema: Schema, schemas: Mapping[str, Schema]) -> Any:
    match schema.get("type"):
        case "object":
            return {name: example_of(each, schemas) for name, each in schema.get("properties", {}).items()}
        case "array":
            return [example_of(schema["items"], schemas)]
        case "string":
            return MOMENT if schema.get("format") == "date-time" else "…"
        case "integer" | "number":
            return int(schema.get("minimum", 0))
        case "boolean":
            return False
    return None
