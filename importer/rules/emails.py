"""Email addresses: which are valid, how they are stored and compared. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import cast

import email_validator

from importer.rules.cells import Invalid

# Accept special-use domains (.test, .local, ...): to empty this list is the documented way.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

MAX_ADDRESS = 254
PLAIN_LENGTH = 64
# No group repeats possessively: Python before 3.11.5 matches that wrongly (CPython gh-106052).
_PLAIN = re.compile(
    r"(?!')[A-Za-z0-9_'+-]++(?:\.[A-Za-z0-9_'+-]++)*@(?:[A-Za-z0-9]++(?:-[A-Za-z0-9]++)*\.)+[A-Za-z]++"
)

MAX_WRAPPED = 500
_WRAPPED = re.compile(r"""[^<>()\[\]@]*[<(\[]\s*(?:mailto:)?\s*([^<>()\[\]\s:]+)\s*[>)\]][\s.;,]*""", re.IGNORECASE)
_MAILTO = re.compile(r"[^@]*?mailto:\s*([^\s?;,:]+)(?:\?.*)?[\s;,]*", re.IGNORECASE)


def fits_header(address: str) -> bool:
    """Return whether a mail header shows `address` as it is. One with an encoded word (`=?utf-8?...`) it does not."""
    return "=?" not in address


def plain_address(text: str) -> str | None:
    """Return the address as it is stored if `text` is a common one; None: use `check_email`.

    Takes a hundredth of the time of `check_email`, and accepts nothing that it does not. Its result needs no `tidy`.
    """
    if len(text) > PLAIN_LENGTH or not _PLAIN.fullmatch(text):
        return None
    return text if text.islower() else _with_lower_domain(text)


def plain_addresses(texts: Sequence[str]) -> list[str | None]:
    """Return `plain_address` of each of `texts`."""
    fits = _PLAIN.fullmatch
    return [
        (text if text.islower() else _with_lower_domain(text)) if len(text) <= PLAIN_LENGTH and fits(text) else None
        for text in texts
    ]


def check_email(text: str) -> str | Invalid:
    """Return the address as it is stored, with its domain in lower case; or what is wrong with it."""
    if len(text) > MAX_ADDRESS:
        # The library checks this too, but only after every character.
        return Invalid(
            "invalid_email",
            f"An email address has at most {MAX_ADDRESS} characters. Write one address and nothing else.",
        )
    try:
        email_validator.validate_email(text, check_deliverability=False)
    except email_validator.EmailNotValidError as error:
        return Invalid("invalid_email", _advice(text, str(error)))
    return _with_lower_domain(text)


def _with_lower_domain(address: str) -> str:
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain.lower()}"


def email_key(address: str) -> str:
    """Return `address` as it is compared: NFC and lower case, not case-folded."""
    if address.isascii():
        return address.lower()
    lower = unicodedata.normalize("NFC", address).lower()
    return unicodedata.normalize("NFC", lower)


def email_keys(addresses: Sequence[str | None]) -> list[str | None]:
    """Return `email_key` of each of `addresses`; None for None."""
    if None not in addresses:
        text = "\n".join(cast(Sequence[str], addresses))
        if text.isascii():
            return list(addresses) if text.islower() else cast(list[str | None], text.lower().split("\n"))
    return [address and email_key(address) for address in addresses]


def address_within(text: str) -> str | None:
    """Return the only address in `text` that has a name, brackets or `mailto:` around it; None if there is none."""
    found = _WRAPPED.fullmatch(text) or _MAILTO.fullmatch(text)
    return plain_address(found[1]) if found and len(text) <= MAX_WRAPPED else None


def _advice(text: str, reason: str) -> str:
    if address := address_within(text):
        return f"Write only the email address: {address}"
    if text.count("@") > 1 and '"' not in text:
        return "The cell has more than one email address. Write exactly one."
    if "<" in text:
        return "Write only the email address, without a name and without < and >."
    return f"This is not a valid email address. {reason}"
