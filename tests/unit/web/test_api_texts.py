"""The texts of the OpenAPI document: one for each thing, and short."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from server.web.api.document import METHODS, document
from server.web.api.refusals import CODES
from tests.support import ROOT
from tests.support.sentences import assert_short

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
