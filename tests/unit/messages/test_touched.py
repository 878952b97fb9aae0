"""The list of users that an import would change, found by words and compared by address."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from importer.messages.spool import Touched
from importer.messages.touched import SHOWN_MOST, Found, Wanted, find_touched, folded, has_words, with_another_domain
from importer.model import INTEGER_MAX


def user(action: str, email: str | None, name: str = "Ann Lee", identifier: str | None = None) -> Touched:
    return {"action": action, "user_id": 1, "identifier": identifier, "email": email, "name": name, "absent": False}


@pytest.mark.parametrize(
    ("words", "found"),
    [([], True), (["ann"], True), (["lee", "ann"], True), (["e7"], True), (["ann@"], True), (["ann", "bo"], False)],
)
def test_a_user_is_found_by_all_words_in_name_address_or_identifier(words: list[str], found: bool) -> None:
    assert has_words(user("created", "ann@example.com", identifier="E7"), words) is found
    assert has_words(user("created", None), ["none"]) is False


def test_case_and_accents_do_not_matter() -> None:
    assert [folded("ZOË Müller"), folded("Straße"), folded("Ann")] == ["zoe muller", "strasse", "ann"]


def test_users_whose_address_differs_only_in_the_domain_are_paired() -> None:
    users = [
        user("deactivated", "Ann@old.example"),
        user("deactivated", "bo@old.example"),
        user("deactivated", None),
        user("updated", "cy@new.example"),
        user("created", "ann@new.example"),
        user("created", "cy@new.example"),
    ]
    assert with_another_domain(users) == [("Ann@old.example", "ann@new.example")]


def test_a_page_far_back_is_the_first_one_and_keeps_few_places(tmp_path: Path) -> None:
    path, every = tmp_path / "1.touched.jsonl", range(SHOWN_MOST + 25)
    path.write_text("".join(f"{json.dumps(user('created', None, f'{number:06}'))}\n" for number in every))
    first = find_touched(path, Wanted(), before=0, limit=25)
    assert (first.before, first.next, first.are_all, first.total) == (0, 25, False, len(every))
    last = find_touched(path, Wanted(), before=SHOWN_MOST - 25, limit=25)
    assert (last.users[-1]["name"], last.next, last.are_all) == (f"{SHOWN_MOST - 1:06}", None, False)
    for before in (SHOWN_MOST, INTEGER_MAX):
        assert find_touched(path, Wanted(), before=before, limit=25) == first
    found = find_touched(path, Wanted("000007"), before=0, limit=25)
    assert (found.next, found.are_all) == (None, True)


def test_without_a_list_no_user_is_found(tmp_path: Path) -> None:
    assert find_touched(tmp_path / "1.touched.jsonl", Wanted(), before=0, limit=5) == Found([], 0, 0)
