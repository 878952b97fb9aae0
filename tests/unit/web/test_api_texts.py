"""The texts of the OpenAPI document: one for each thing, and short."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import jsonschema_rs

from engine.runs import Run
from importer.model import FileFacts, ImportState
from importer.report import Report
from server.notify import letters
from server.notify.run_letters import EVENTS, run_data
from server.web.api.document import METHODS, document
from server.web.api.examples import bodies_of
from server.web.api.refusals import CODES
from tests.support import ROOT
from tests.support.sentences import assert_short

REPORT = Report(7, "acme", ImportState.HELD, False, FileFacts("a.csv", 5, None, None), "2026-03-01T12:00:00.000Z")
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


def texts(part: Any) -> Iterator[str]:
    """All descriptions and summaries of a part of the document."""
    if isinstance(part, dict):
        for name, each in part.items():
            if name in {"description", "summary"} and isinstance(each, str):
                yield each.replace("`", "")
            else:
                yield from texts(each)
    elif isinstance(part, list):
        for each in part:
            yield from texts(each)


def test_the_sentences_of_the_document_are_short() -> None:
    found = set(texts(document()))
    assert len(found) > 200
    assert_short("\n\n".join(found))


def test_every_operation_and_answer_is_described() -> None:
    for path, item in document()["paths"].items():
        for operation in (item[method] for method in METHODS if method in item):
            assert operation["summary"], path
            assert operation["description"].endswith("."), path
            assert all(answer["description"] for answer in operation["responses"].values()), path


def test_the_page_repeats_the_sentence_of_every_code() -> None:
    for code, (status, sentence) in CODES.items():
        assert f"| `{code}` | {status} | {sentence} |\n" in PAGE


def bodies() -> list[tuple[str, dict[str, Any]]]:
    return list(bodies_of(document()))


def test_every_body_has_an_example_that_fits_its_schema() -> None:
    assert len(bodies()) > 100
    components = document()["components"]
    for media_type, content in bodies():
        if media_type.endswith("json"):
            schema = {**content["schema"], "components": components}
            jsonschema_rs.validate(schema, content["example"])
        else:
            assert isinstance(content["example"], str)


def test_every_operation_has_an_example_of_its_request_and_of_its_answer() -> None:
    for path, item in document()["paths"].items():
        for method, operation in ((method, item[method]) for method in METHODS if method in item):
            sent = [operation["requestBody"]] if "requestBody" in operation else []
            assert sent or method not in {"post", "patch"} or path.rsplit("/", 1)[-1] in NO_BODY, (method, path)
            done = [answer for status, answer in operation["responses"].items() if status in {"200", "201", "202"}]
            assert done or "204" in operation["responses"], (method, path)
            for body in (*sent, *done):
                examples = [content["example"] for content in body["content"].values()]
                assert examples, (method, path)
                assert "…" not in json.dumps(examples, ensure_ascii=False), (method, path)


NO_BODY = {"approve", "discard", "undo", "rerun", "test"}
"""The ends of the paths whose POST needs no body."""


def test_every_operation_has_a_parameter_or_body_to_copy() -> None:
    for path, item in document()["paths"].items():
        shared = item.get("parameters", [])
        for operation in (item[method] for method in METHODS if method in item):
            for each in (*shared, *operation.get("parameters", [])):
                assert each["in"] != "path" or each.get("examples") or each["schema"].get("examples"), path


def test_every_answer_with_content_shows_it() -> None:
    for path, item in document()["paths"].items():
        for operation in (item[method] for method in METHODS if method in item):
            for status, answer in operation["responses"].items():
                assert status == "204" or answer["content"], (path, status)


def test_the_webhooks_are_the_events_of_notifications() -> None:
    assert set(document()["webhooks"]) == set(get_args(letters.Event))


def test_the_settings_page_lists_the_events_of_notifications() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    table = page.split("| event | when |", 1)[1].split("\n\n", 1)[0]
    assert set(re.findall(r"^\| `(.+?)`", table, re.MULTILINE)) == set(get_args(letters.Event))


def test_the_bodies_of_webhooks_fit_the_document() -> None:
    at = "2026-03-02T06:00:04.120Z"
    stale = {"tenant": "acme", "stale_after_days": 3, "last_applied_at": None}
    leavers = [{"identifier": "1", "email": None, "name": "Ann Smith", "action": "deactivated", "absent": True}]
    ending = {"tenant": "acme", "paused_until": at, "paused_because": None, "waiting": 2}
    data: dict[str, Any] = {letters.STALE: stale, letters.PAUSE_ENDING: ending, letters.TEST: {"tenant": "acme"}}
    run = Run("acme", 7, "invoices", "/invoices/a.csv", ImportState.COMPLETED, 1, 5, at)
    data |= {event: run_data(replace(run, state=state)) for state, event in EVENTS.items()}
    for event, item in document()["webhooks"].items():
        (content,) = item["post"]["requestBody"]["content"].values()
        report = letters.import_data(REPORT, leavers)
        body = letters.webhook_body(event, at, data.get(event, report))
        jsonschema_rs.validate({**content["schema"], "components": document()["components"]}, body)
        assert {each["name"] for each in item["post"]["parameters"]} == {
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
        }
