"""Who a row is: by e-mail address, or by a custom field such as an employee number.  Pure.

Addresses are compared in NFC and lower case, custom identifiers exactly. The table users has a column for each:
`email_key`, and `external_id` with the value of the custom field. Which of the two counts is decided here alone; all
others are handed an Identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from importer.rules.emails import email_key
from importer.rules.settings import ImportSettings


class Identified(TypedDict):
    """The part of a user, as people see one, that tells who it is. `custom` is JSON, by the key of the field."""

    email: str | None
    custom: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells the users of one tenant apart. `custom` is the key of the custom field, None for the address."""

    custom: str | None = None

    @property
    def by_address(self) -> bool:
        """Whether it is the address. If not, a user's address may change, and may have to wait to be free."""
        return self.custom is None

    @property
    def setting(self) -> str:
        """The value of the setting `identifier`."""
        return self.custom or "email"

    @property
    def column(self) -> Literal["external_id", "email_key"]:
        """The column of users that holds it as it is compared."""
        return "external_id" if self.custom else "email_key"

    @property
    def shown_column(self) -> Literal["external_id", "email"]:
        """The column of users that holds it as people see it."""
        return "external_id" if self.custom else "email"

    def of(self, user: Identified) -> str | None:
        """Return the identifier of a user, as a directory shows one; None if they have none."""
        found: str | None = user["custom"].get(self.custom) if self.custom else user["email"]
        return found

    def shown_sql(self, table: str) -> str:
        """Return SQL for the user that a link names: the identifier, else the address, as files name them."""
        return f"coalesce({table}.external_id, {table}.email)" if self.custom else f"{table}.email"

    def key(self, text: str) -> str:
        """Return `text` as an identifier is compared."""
        return text if self.custom else email_key(text)


BY_ADDRESS = Identity()


def identity_of(settings: ImportSettings) -> Identity:
    """Return what tells users apart under these settings."""
    return Identity(None if settings.identifier == "email" else settings.identifier)
