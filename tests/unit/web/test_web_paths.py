"""Identifiers in paths, and file names in headers."""

from __future__ import annotations

import pytest
from starlette.routing import compile_path

from server.web.downloads import disposition
from server.web.segments import routed


@pytest.mark.parametrize(
    "identifier",
    ["ann@example.com", "a/b", "/", "50%", "%2F", "%252F", "a b+c", "Zoë/Ø", "history", "a/history", "?#;", "a\n"],
)
def test_an_identifier_is_decoded_from_a_path_unchanged(identifier: str) -> None:
    pattern, path, convertors = compile_path("/users/{identifier:segment}/history")
    raw = path.replace("{identifier}", convertors["identifier"].to_string(identifier))
    found = pattern.match(routed(raw))
    assert found
    assert convertors["identifier"].convert(found["identifier"]) == identifier


def test_lower_case_escapes_are_the_same() -> None:
    assert routed("/users/a%2fb") == routed("/users/a%2Fb") == "/users/a%2Fb"


@pytest.mark.parametrize("end", ["%0a", "%0A"])
def test_a_path_that_ends_with_a_line_break_is_another_path(end: str) -> None:
    pattern, _, _ = compile_path("/metrics")
    assert pattern.match(routed("/metrics"))
    assert not pattern.match(routed(f"/metrics{end}"))


@pytest.mark.parametrize("fingerprint", ["SHA256:a/b+c", "SHA256:a%2Fb+c", "SHA256:a%2fb%2Bc"])
def test_the_last_segments_may_contain_plain_and_encoded_slashes(fingerprint: str) -> None:
    pattern, _, convertors = compile_path("/keys/{fingerprint:segments}")
    found = pattern.match(routed(f"/keys/{fingerprint}"))
    assert found
    assert convertors["fingerprint"].convert(found["fingerprint"]) == "SHA256:a/b+c"


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("sync_users.csv", 'attachment; filename="sync_users.csv"'),
        ('a"b.csv', "attachment; filename=\"a_b.csv\"; filename*=UTF-8''a%22b.csv"),
        ("Zoë\r\nX: 1.csv", "attachment; filename=\"Zo___X: 1.csv\"; filename*=UTF-8''Zo%C3%AB%0D%0AX%3A%201.csv"),
    ],
)
def test_a_file_name_cannot_break_its_header(name: str, header: str) -> None:
    assert disposition(name) == header
