"""A manifest survives its way through text, and a damaged one is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.backup.manifest import FORMAT, BackupUnusable, Entry, Manifest, from_text, in_order, to_text
from server.backup.manifest import _digest as digest_of

SHA256 = "ab" * 32
NAMES = st.text(st.characters(exclude_characters="/\0"), min_size=1).filter(lambda name: name not in {".", ".."})
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
FOLDERS = st.builds(Entry, PATHS, st.just(0o700), st.integers(0, 2**62))
FILES = st.builds(
    Entry,
    PATHS,
    st.just(0o600),
    st.integers(0, 2**62),
    sha256=st.just(SHA256),
    size=st.integers(0, 2**40),
    look=st.sampled_from(["", "1.2.3.4.5"]),
    database=st.sampled_from([None, "tenant"]),
    attributes=st.dictionaries(st.just("user.headcount.written"), st.text(), max_size=1),
)


@given(st.lists(FOLDERS | FILES), st.dictionaries(NAMES, st.text()), st.dictionaries(PATHS, st.text()))
def test_a_manifest_is_read_as_it_was_written(
    entries: list[Entry], broken: dict[str, str], skipped: dict[str, str]
) -> None:
    manifest = Manifest("2026-03-31T00:00:00.000Z", tuple(entries), broken, "of", skipped)
    assert from_text(to_text(manifest)) == manifest


def test_a_name_that_is_not_utf_8_survives() -> None:
    manifest = Manifest("now", (Entry(b"caf\xe9".decode("utf-8", "surrogateescape"), 0o600, 1, SHA256),))
    assert from_text(to_text(manifest)) == manifest


def with_entry(**facts: Any) -> str:
    """Return a manifest with one entry, whose checksum is right."""
    entry = {"path": "a", "mode": 0o600, "mtime_ns": 1, **facts}
    content = {"made_at": "now", "broken": {}, "entries": [entry]}
    return json.dumps({"format": FORMAT, "digest": digest_of(content), **content})


@pytest.mark.parametrize("path", ["/etc/passwd", "../a", "a/../../b", ".", "", "a//b", "a/", "a\0b"])
def test_no_path_leads_out_of_the_data_folder(path: str) -> None:
    with pytest.raises(BackupUnusable, match="damaged"):
        from_text(with_entry(path=path))


@pytest.mark.parametrize("sha256", ["../../etc/passwd", "ab", SHA256.upper()])
def test_no_object_is_outside_the_backup(sha256: str) -> None:
    with pytest.raises(BackupUnusable, match="damaged"):
        from_text(with_entry(sha256=sha256))


def test_each_changed_letter_of_a_manifest_is_found() -> None:
    text = to_text(
        Manifest("now", (Entry("tenants", 0o700, 5), Entry("tenants/a", 0o600, 7, SHA256, 3)), {"b": "why"})
    )
    for place, letter in enumerate(text.rstrip()):
        if not letter.isspace():
            changed = f"{text[:place]}{'7' if letter != '7' else '8'}{text[place + 1 :]}"
            with pytest.raises(BackupUnusable):
                from_text(changed)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"format": 1}', '{"format": 1, "digest": 2}'])
def test_a_text_that_is_not_a_manifest_is_refused(text: str) -> None:
    with pytest.raises(BackupUnusable):
        from_text(text)


def test_each_folder_comes_before_its_content() -> None:
    paths = ["a/b/c", "a.b", "a", "a/b", "a-b"]
    assert [entry.path for entry in in_order(Entry(path, 0, 0) for path in paths)] == [
        "a",
        "a/b",
        "a/b/c",
        "a-b",
        "a.b",
    ]
