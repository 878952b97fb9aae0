"""The tables of values: a table sent as shown is the same setting, and a choice changes the meaning of one word."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.file.header import fold
from importer.rules.settings import ImportSettings
from server.tenants.settings import TenantSettings, changed
from server.web.pages.settings.form import as_sent, shown, touched, wanted
from server.web.pages.settings.items import Item, groups_of
from server.web.pages.settings.meanings import UNSET, as_lines, closed_fields
from server.web.pages.settings.sample import Sample, sample_from

SHIFT = {"key": "shift", "type": "choice", "choices": ["early", "late", "-", "a = b"]}
FILE = "first_name,last_name,email,role,active,shift,own\n" + "".join(
    f"Ann,Lee,a@x.example,{role},{active},{shift},x\n"
    for role, active, shift in (
        ("Chef", "1", "Nacht"),
        ("CHEF", "ja", "early"),
        ("admin", "nein", "a=b"),
        ("", "", ""),
    )
)


def sample(**settings: Any) -> Sample:
    return sample_from(7, FILE.encode(), ImportSettings(**settings), whole=True, typed={})


def values(form: dict[str, str], found: Sample | None) -> Item:
    groups = groups_of(form, TenantSettings().to_json(), {}, {}, sample=found)
    return next(each for items in groups.values() for each in items if each.setting == "value_mapping")


def sent(form: dict[str, str], item: Item, choices: dict[str, str] | None = None) -> dict[str, str]:
    """Return what a browser sends for the tables of values, with these meanings by word; "" is the new word."""
    rest = [(name, text) for name, text in form.items() if not name.startswith("value_mapping.")]
    for number, (row, words) in enumerate(zip(item.rows + item.offers, item.words, strict=True)):
        rest.append((f"value_mapping.{number}.field", row["field"]))
        if number < len(item.rows):
            rest.append((f"value_mapping.{number}.values", "" if words else row["values"]))
        for at, word in enumerate(words):
            rest.append((f"value_mapping.{number}.word.{at}", word.word))
            rest.append((f"value_mapping.{number}.meaning.{at}", (choices or {}).get(word.text, word.meaning)))
    return as_lines(as_sent(rest))


def settings(**chosen: Any) -> dict[str, Any]:
    return changed(TenantSettings(), {"custom_fields": [SHIFT], **chosen}).to_json()


def test_only_words_that_a_closed_field_does_not_accept_are_listed() -> None:
    found = sample(custom_fields=[SHIFT], field_mapping={"active": "active"})
    assert found.words == {"role": ("Chef",), "active": ("ja", "nein"), "shift": ("Nacht", "a=b")}


def test_each_field_with_certain_values_has_choices() -> None:
    closed = closed_fields(ImportSettings(custom_fields=[SHIFT, {"key": "own"}]).custom_fields)  # type: ignore[arg-type]
    assert closed.keys() == {"role", "language", "deactivate", "active", "shift"}
    assert [*closed["role"].values()] == ["Learner", "Curator", "Reporter", "Learning designer", "HR", "Admin"]
    every = {field: {f"word {at}": ours for at, ours in enumerate(choices)} for field, choices in closed.items()}
    assert changed(TenantSettings(), {"custom_fields": [SHIFT], "value_mapping": every}).value_mapping == every


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)


@given(
    st.dictionaries(words, st.sampled_from(["admin", "hr", "HR ", "", "other", "a\nb", "-", '"']), max_size=5),
    st.lists(words.filter(fold), max_size=5, unique_by=fold),
)
def test_a_table_of_values_sent_as_shown_is_the_same_setting(mapping: dict[str, str], in_file: list[str]) -> None:
    now = {**settings(), "value_mapping": {"role": mapping, "location": {"HQ": "Bern"}}}
    found = Sample(7, words={"role": in_file, "language": ["xx"]}, closed=closed_fields(()))
    form = shown(now)
    item = values(form, found)
    assert item.words[0]
    assert [row["field"] for row in item.offers] == ["language"]
    assert touched(sent(form, item), now) == []


@pytest.mark.parametrize(
    ("choices", "after"),
    [
        ({"Chef": "admin"}, {"role": {"Chef": "admin"}}),
        ({"Chef": ""}, {"role": {"Chef": ""}}),
        ({"Nacht": "-", "a=b": '"a = b"'}, {"shift": {"Nacht": "-", "a=b": "a = b"}}),
        ({"ja": "yes", "nein": "no"}, {"active": {"ja": "yes", "nein": "no"}}),
        ({}, {}),
    ],
)
def test_a_chosen_meaning_is_the_setting(choices: dict[str, str], after: dict[str, Any]) -> None:
    mapped = {"field_mapping": {"active": "active"}}
    now = settings(**mapped)
    form = shown(now)
    found = wanted(sent(form, values(form, sample(custom_fields=[SHIFT], **mapped)), choices), now)
    assert found.unreadable == {}
    assert found.changes.get("value_mapping", {}) == after
    assert changed(TenantSettings(), {**now, **found.changes}).value_mapping == after


def test_a_word_without_a_meaning_is_removed() -> None:
    now = settings(value_mapping={"role": {"Boss": "hr", "Chef": "admin"}})
    form = shown(now)
    item = values(form, sample(custom_fields=[SHIFT]))
    assert [(word.text, word.options[UNSET]) for word in item.words[0]] == [
        ("Boss", "Remove this word"),
        ("Chef", "No meaning yet"),
        ("", "Choose a meaning"),
    ]
    found = wanted(sent(form, item, {"Boss": UNSET}), now)
    assert found.changes == {"value_mapping": {"role": {"Chef": "admin"}}}


def test_other_fields_and_lines_that_cannot_be_read_stay_text() -> None:
    form = shown(settings(value_mapping={"location": {"HQ": "Bern"}, "role": {"Boss": "hr"}}))
    form["value_mapping.1.values"] = "Boss"
    item = values(form, sample(custom_fields=[SHIFT]))
    assert item.words[:2] == [[], []]
    assert values(form, None).words == [[], []]


def test_a_word_that_is_typed_twice_is_an_error() -> None:
    form = {"value_mapping": "rows", "value_mapping.0.field": "role"}
    for at, word in enumerate(("Chef", " Chef ")):
        form |= {f"value_mapping.0.word.{at}": word, f"value_mapping.0.meaning.{at}": "hr"}
    assert "on two lines" in wanted(as_lines(form), settings()).unreadable["value_mapping"]
