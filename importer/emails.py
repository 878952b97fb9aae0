"""E-mail addresses: which are valid, how they are kept, how they are compared.  Pure."""

from __future__ import annotations

import re
import unicodedata

import email_validator

from importer.rules import Invalid

# Special-use domains (.test, .local, ...) are accepted: emptying this list is the library's documented way.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

PLAIN_LENGTH = 64
_PLAIN = re.compile(r"[A-Za-z0-9_'+-]++(?:\.[A-Za-z0-9_'+-]++)*+@(?:[A-Za-z0-9]++(?:-[A-Za-z0-9]++)*+\.)+[A-Za-z]++")


def check_email(text: str) -> str | Invalid:
    """The address as it is kept: as given, the domain in lower case; or what is wrong with it.

    Plain addresses take a fast path, which accepts nothing that email-validator does not.
    """
    if len(text) > PLAIN_LENGTH or not _PLAIN.fullmatch(text):
        try:
            email_validator.validate_email(text, check_deliverability=False)
        except email_validator.EmailNotValidError as error:
            return Invalid("invalid_email", _advice(text, str(error)))
    local, _, domain = text.rpartition("@")
    return f"{local}@{domain.lower()}"


def email_key(address: str) -> str:
    """`address` as it is compared: NFC and lower case, not case-folded."""
    if address.isascii():
        return address.lower()
    lower = unicodedata.normalize("NFC", address).lower()
    return unicodedata.normalize("NFC", lower)


def _advice(text: str, reason: str) -> str:
    if text.count("@") > 1 and '"' not in text:
        return "There is more than one e-mail address in the cell. Write exactly one."
    if "<" in text:
        return "Write the e-mail address alone, without a name and without < and >."
    return f"This is not a valid e-mail address. {reason}"
