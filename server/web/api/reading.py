"""The OpenAPI document for the page `/api`: parameters, answers and an example of every operation. Pure.

It reads only the parts of OpenAPI that Headcount's own document has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from server.web.api.examples import example_of

METHODS = ("get", "post", "put", "patch", "delete")
TELLING = 1_000_000
"""A higher bound is not shown."""

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """`where` is path, query or header."""

    name: str
    where: str
    required: bool
    kind: str
    explanation: str


@dataclass(frozen=True, slots=True)
class Answer:
    """`lines` say when the answer is sent; `example` is its body as text, or empty."""

    status: str
    media_type: str
    lines: tuple[str, ...]
    example: str


@dataclass(frozen=True, slots=True)
class Operation:
    name: str
    method: str
    path: str
    summary: str
    explanation: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    body: str
    body_types: tuple[str, ...]
    answers: tuple[Answer, ...]
    refusals: tuple[Answer, ...]
    curl: str


def operations(document: Mapping[str, Any], tag: str, server: str) -> Iterator[Operation]:
    """Yield the operations with `tag`; examples go to `server`, such as `https://hr.example.com`."""
    reader = _Reader(document["components"]["schemas"], server)
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item and tag in item[method]["tags"]:
                yield reader.operation(path, method, item[method], item.get("parameters", []))


class _Reader:
    def __init__(self, schemas: Mapping[str, Schema], server: str) -> None:
        self._schemas = schemas
        self._server = server

    def operation(self, path: str, method: str, said: Mapping[str, Any], shared: list[Any]) -> Operation:
        parameters = [*shared, *said.get("parameters", [])]
        sent = said.get("requestBody", {}).get("content", {})
        body = self._text(next(iter(sent.items()))) if sent else ""
        answers = [self._answer(status, answer) for status, answer in said["responses"].items()]
        return Operation(
            name=said["operationId"],
            method=method.upper(),
            path=path,
            summary=said["summary"],
            explanation=tuple(said.get("description", "").split("\n\n")),
            parameters=tuple(map(self._parameter, parameters)),
            body=body,
            body_types=tuple(sent),
            answers=tuple(each for each in answers if each.status < "4"),
            refusals=tuple(each for each in answers if each.status >= "4"),
            curl=self._curl(method, self._filled(path, parameters), next(iter(sent), ""), body),
        )

    def _parameter(self, said: Mapping[str, Any]) -> Parameter:
        schema = said["schema"]
        explanation = said.get("description") or schema.get("description", "")
        return Parameter(said["name"], said["in"], said.get("required", False), self._kind(schema), explanation)

    def _kind(self, schema: Schema) -> str:
        """Return the type of a value, its bounds and its default, in a few words."""
        schema = self._resolved(schema)
        if "anyOf" in schema:
            return self._kind(next(each for each in schema["anyOf"] if each != {"type": "null"}))
        if "enum" in schema or "const" in schema:
            return " · ".join(map(str, schema.get("enum", [schema.get("const")])))
        bounded = schema.get("maximum", TELLING) < TELLING
        bounds = f", {schema['minimum']} to {schema['maximum']:,}" if bounded else ""
        default = f", {schema['default']} if not given" if schema.get("default") not in {None, ""} else ""
        return f"{_TYPES[schema['type']]}{bounds}{default}"

    def _answer(self, status: str, said: Mapping[str, Any]) -> Answer:
        content = next(iter(said.get("content", {}).items()), None)
        lines = tuple(line.removeprefix("- ") for line in said["description"].splitlines())
        return Answer(status, content[0] if content else "", lines, self._text(content) if content else "")

    def _text(self, content: tuple[str, Mapping[str, Any]]) -> str:
        """Return an example of a body as text."""
        media_type, said = content
        if not media_type.endswith("json"):
            return ""
        return json.dumps(said["example"], indent=2, ensure_ascii=False)

    def _resolved(self, schema: Schema) -> Schema:
        return self._schemas[schema["$ref"].rsplit("/", 1)[-1]] if "$ref" in schema else schema

    def _filled(self, path: str, parameters: list[Mapping[str, Any]]) -> str:
        """Return `path` with an example for every brace, and the required query parameters."""
        asked = []
        for each in parameters:
            value = str(_value(each) if "examples" in each else example_of(each["schema"], self._schemas))
            path = path.replace(f"{{{each['name']}}}", value)
            if each["in"] == "query" and each.get("required"):
                asked.append(f"{each['name']}={value}")
        return path + ("?" + "&".join(asked) if asked else "")

    def _curl(self, method: str, path: str, media_type: str, body: str) -> str:
        parts = ["curl"] if method == "get" else [f"curl -X {method.upper()}"]
        parts.append('-H "Authorization: Bearer $TOKEN"')
        if media_type:
            data = (
                f"-d '{json.dumps(json.loads(body), ensure_ascii=False)}'"
                if body
                else "--data-binary @sync_users.csv"
            )
            parts += [f"-H 'Content-Type: {media_type}'", data]
        parts.append(f"'{self._server}{path}'")
        return " \\\n  ".join(parts)


def _value(parameter: Mapping[str, Any]) -> Any:
    """Return the example of a parameter, from a list or a table of examples."""
    found = parameter["examples"]
    return next(iter(found.values()))["value"] if isinstance(found, dict) else found[0]


_TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
