"""The file in a form: its exact bytes in any chunks, and nothing else of the form."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from server.web.http_problem import HttpProblem
from server.web.multipart import HEADER_BYTES_MOST, HEADERS_MOST, PARTS_MOST, PIECE_BYTES, FormFile

BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
KIND = f"multipart/form-data; boundary={BOUNDARY}"


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    called = "" if filename is None else f'; filename="{filename}"'
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{called}\r\nContent-Type: text/csv\r\n\r\n'
    return head.encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def sent(pieces: Sequence[bytes], kind: str = KIND) -> Request:
    coming = list(pieces)

    async def receive() -> Message:
        if not coming:
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.request", "body": coming.pop(0), "more_body": True}

    return Request({"type": "http", "method": "POST", "headers": [(b"content-type", kind.encode())]}, receive)


async def taken(request: Request) -> tuple[str, bytes]:
    file = FormFile(request, "file")
    name = await file.name()
    return name, b"".join([chunk async for chunk in file.chunks()])


def cut(body: bytes, at: Sequence[int]) -> list[bytes]:
    places = [0, *sorted(min(place, len(body)) for place in at), len(body)]
    return [body[begin:end] for begin, end in pairwise(places) if begin < end]


@given(st.binary(max_size=300) | st.just(f"a\r\n--{BOUNDARY[:-1]}\r\n--".encode()), st.lists(st.integers(0, 700)))
def test_any_file_in_any_chunks_gives_the_same_bytes(content: bytes, at: list[int]) -> None:
    body = form(part("other", b"x"), part("file", content, "people.csv"), part("after", b"y"))
    assert asyncio.run(taken(sent(cut(body, at)))) == ("people.csv", content)


def test_only_the_first_file_of_the_field_counts() -> None:
    body = form(part("file", b"no file"), part("file", b"one", "1.csv"), part("file", b"two", "2.csv"))
    assert asyncio.run(taken(sent([body]))) == ("1.csv", b"one")


FILE = part("file", b"x", "1.csv")
HEADER = b"X-%d: y\r\n"


@pytest.mark.parametrize(
    "body",
    [
        form(*[part("", b"")] * PARTS_MOST, FILE),
        form(FILE, *[part("", b"")] * PARTS_MOST),
        form(*[part("", b"")] * 50_000),
        form(FILE.replace(b"\r\n", b"\r\n" + b"".join(HEADER % number for number in range(HEADERS_MOST)), 1)),
        form(part("file", b"x", "1" * HEADER_BYTES_MOST)),
    ],
    ids=["before", "after", "many", "headers", "header"],
)
def test_a_form_of_more_parts_or_headers_than_the_page_sends_is_refused(body: bytes) -> None:
    with pytest.raises(HttpProblem) as refused:
        asyncio.run(taken(sent([body])))
    assert refused.value.code == "broken_form"


def test_a_form_with_a_few_parts_besides_the_file_is_accepted() -> None:
    body = form(*[part("other", b"x")] * (PARTS_MOST - 1), FILE)
    assert asyncio.run(taken(sent([body]))) == ("1.csv", b"x")


def test_a_file_name_outside_ascii_is_read() -> None:
    assert asyncio.run(taken(sent([form(part("file", b"x", "Mitarbeiter Zoë.csv"))])))[0] == "Mitarbeiter Zoë.csv"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (form(part("file", b"", "")), KIND, 422),
        (form(part("other", b"x", "1.csv")), KIND, 422),
        (b"", KIND, 422),
        (form(part("file", b"x", "1.csv"))[:-30], KIND, 400),
        (b"first_name\nAnn\n", KIND, 400),
        (form(part("file", b"x", "1.csv")), "text/csv", 415),
        (form(part("file", b"x", "1.csv")), "multipart/form-data", 415),
        (form(part("file", b"x", "1.csv")), f"multipart/form-data; boundary={'x' * 10_000}", 400),
        (f"--{BOUNDARY}\r\nX: {'y' * 100_000}\r\n\r\n".encode(), KIND, 400),
    ],
)
def test_a_form_without_a_complete_file_is_refused(body: bytes, kind: str, status: int) -> None:
    with pytest.raises(HttpProblem) as refused:
        asyncio.run(taken(sent([body], kind)))
    assert refused.value.status == status


async def test_the_event_loop_runs_while_a_file_in_a_form_is_read() -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    body = form(part("file", b"x" * 20 * PIECE_BYTES, "1.csv"))
    turning = asyncio.create_task(turn())
    await taken(sent([body]))
    turning.cancel()
    assert turns >= len(body) // PIECE_BYTES
