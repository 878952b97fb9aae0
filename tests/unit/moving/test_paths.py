"""The paths of names in a database: one that is in no folder is named, with the statement that shows it again."""

from __future__ import annotations

import pytest

from engine.postgres.files.moving import Name
from engine.shared.files import ROOT
from importer.errors import DatabaseUnusable
from server.moving.database import by_path

ACME = "WHERE tenant_id = (SELECT id FROM tenants WHERE name = 'acme') AND id ="


def name(number: int, folder: int, text: bytes, content: int | None = None) -> Name:
    return Name(folder, text, content, 0, 1, 1, None, id=number)


def refused(*names: Name) -> str:
    with pytest.raises(DatabaseUnusable) as caught:
        by_path(names, "acme")
    return str(caught.value)


def test_names_have_the_paths_of_their_folders() -> None:
    found = by_path([name(9, 7, b"c", 1), name(7, 8, b"b"), name(8, ROOT, b"a")], "acme")
    assert {path: each.id for path, each in found.items()} == {b"a": 8, b"a/b": 7, b"a/b/c": 9}


def test_a_name_in_no_folder_is_named_with_the_remedy() -> None:
    text = refused(name(1, ROOT, b"a"), name(2, 5, b"list.csv", 1))
    assert "“list.csv” is in a folder that does not exist" in text
    assert text.endswith(f": UPDATE names SET folder_id = 0 {ACME} 2")


def test_the_remedy_replaces_no_other_name() -> None:
    text = refused(name(1, ROOT, b"list.csv", 1), name(2, 5, b"list.csv", 1))
    assert text.endswith(f": UPDATE names SET folder_id = 0, name = 'found-2' {ACME} 2")


def test_a_name_in_a_file_is_in_no_folder() -> None:
    assert refused(name(1, ROOT, b"a", 1), name(2, 1, b"b", 1)).endswith(f"{ACME} 2")


def test_folders_in_each_other_are_in_no_folder() -> None:
    assert refused(name(1, 2, b"a"), name(2, 1, b"b"), name(3, 1, b"c", 1)).endswith(f"{ACME} 1")


def test_a_folder_in_no_folder_is_named_before_what_is_in_it() -> None:
    assert refused(name(1, 2, b"list.csv", 1), name(2, 5, b"a")).endswith(f"{ACME} 2")
