"""Email addresses: valid ones, how they are stored, and how they are compared."""

from __future__ import annotations

import string
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from importer.rules.cells import Invalid
from importer.rules.emails import address_within, check_email, email_key, plain_address

LETTERS = st.text(st.sampled_from("abAB019._-+'@x"), max_size=12)
ALMOST = st.tuples(LETTERS, st.sampled_from(["@", "@@", ""]), LETTERS, st.sampled_from([".com", ".c", ".1", "", "."]))


@settings(deadline=None, max_examples=400)
@given(ALMOST.map("".join) | st.from_regex(r"[a-z.']{1,9}@[a-z0-9-]{1,9}(\.[a-z0-9-]{1,6}){1,2}", fullmatch=True))
@example("a@b--c.com")
@example("ab@xn--a.com")
@example("a.@b.com")
@example("a@b.c1")
@example("'a@b.com")
@example("a" * 60 + "@b.c")
def test_a_plain_address_is_one_that_the_library_accepts_and_keeps(text: str) -> None:
    plain = plain_address(text)
    if plain is not None:
        assert check_email(text) == plain


def is_plainly_plain(text: str) -> bool:
    """Names of letters, digits, `_`, `'`, `+`, `-` set off by dots; labels of letters, digits and inner `-`."""
    local, at, domain = text.partition("@")
    *labels, last = domain.split(".")
    return (
        bool(at and labels)
        and not text.startswith("'")
        and all(name and set(name) <= LOCAL for name in local.split("."))
        and all(part and set(part) <= ALPHANUMERIC for label in labels for part in label.split("-"))
        and bool(last)
        and set(last) <= set(string.ascii_letters)
    )


ALPHANUMERIC = set(string.ascii_letters + string.digits)
LOCAL = ALPHANUMERIC | set("_'+-")


@settings(max_examples=600)
@given(ALMOST.map("".join) | st.from_regex(r"[a-z.']{1,5}@[a-z0-9-]{1,5}(\.[a-z0-9-]{1,4}){1,3}", fullmatch=True))
@example("a.@b.com")
@example("a..b@c.com")
@example("a@b-.com")
@example("a@b.c.com")
def test_an_address_is_plain_exactly_if_a_simple_parser_says_so(text: str) -> None:
    assert (plain_address(text) is not None) == is_plainly_plain(text)


@pytest.mark.parametrize(
    "address",
    ["ann@lee.com", "ann.lee+hr@mail.lee.co.uk", "o'brien@lee.com", "a_b-c@x-y.com"],
)
def test_everyday_addresses_are_plain(address: str) -> None:
    assert plain_address(address) == address


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Ann.Lee@Lee.COM", "Ann.Lee@lee.com"),
        ("ann@firma.test", "ann@firma.test"),
        ("ann@firma.LOCAL", "ann@firma.local"),
        ("ann@a.invalid", "ann@a.invalid"),
        ("zoë@lee.com", "zoë@lee.com"),
        ("ann@MÜNCHEN.de", "ann@münchen.de"),
        ("ann@xn--mnchen-3ya.de", "ann@xn--mnchen-3ya.de"),
        ("!#$%&*/=?^`{|}~@lee.com", "!#$%&*/=?^`{|}~@lee.com"),
    ],
)
def test_a_valid_address_is_kept_as_given_with_the_domain_in_lower_case(text: str, kept: str) -> None:
    assert check_email(text) == kept
    assert plain_address(text) in {None, kept}


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("ann", "@-sign"),
        ("ann@", "after the @-sign"),
        ("@lee.com", "before the @-sign"),
        ("ann@localhost", "should have a period"),
        ("ann@lee.com.", "period"),
        ("ann..lee@lee.com", "two periods"),
        ("ann＠lee.com", "full-width"),
        ("ann lee@lee.com", "SPACE"),
        ("ann@[10.0.0.1]", "bracketed IP"),
        ('"ann lee"@lee.com', "Quoting"),
        ("ann@lee.com, bob@lee.com", "more than one"),
        ("ann@lee.com;bob@lee.com", "more than one"),
        ("Ann Lee <ann@lee>", "without a name"),
        ("<ann@lee.com>", "Write only the email address: ann@lee.com"),
        ("Ann Lee <ann@lee.com>", "Write only the email address: ann@lee.com"),
        ("Ann Lee (ann@lee.com)", "only the email address: ann@lee.com"),
        ("Ann Lee [mailto:ann@lee.com]", "only the email address: ann@lee.com"),
        ("mailto:Ann@Lee.com", "only the email address: Ann@lee.com"),
        ("Mail: mailto:ann@lee.com?subject=Hi", "only the email address: ann@lee.com"),
        ("Ann <ann@lee.com>, Bo <bo@ng.com>", "more than one"),
        ("a" * 250 + "@lee.com", "at most 254"),
        ("a\u200bb@lee.com", "ZERO WIDTH SPACE"),
    ],
)
def test_anything_else_is_refused_with_what_to_do(text: str, advice: str) -> None:
    found = check_email(text)
    assert isinstance(found, Invalid)
    assert found.code == "invalid_email"
    assert advice in found.message
    assert plain_address(text) is None


def test_an_endless_address_is_refused_at_once() -> None:
    assert isinstance(check_email("a" * 65_536), Invalid)
    assert all(address_within(text * 20_000) is None for text in ("<", "a <", "mailto:", "(a@b.cd)", " ("))


@given(st.text(max_size=12))
def test_comparing_what_was_already_made_comparable_changes_nothing(text: str) -> None:
    assert email_key(email_key(text)) == email_key(text)


def test_addresses_are_compared_in_nfc_and_lower_case_but_not_folded() -> None:
    composed, taken_apart = "ZOË@x.test", unicodedata.normalize("NFD", "zoë@x.test")
    assert email_key(composed) == email_key(taken_apart)
    assert email_key("straße@x.test") != email_key("strasse@x.test")
    assert email_key("ı@x.test") != email_key("i@x.test")
