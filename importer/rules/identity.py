"""The identifier of a user: the email address, or a custom field such as an employee number. Pure.

Addresses are compared in NFC and lower case, custom identifiers exactly. The table users has a column for each:
`email_key`, and `external_id` with the value of the custom field. Only this module decides which of the two counts;
all other code gets an Identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from importer.rules.emails import email_key
from importer.rules.settings import ImportSettings


class Identified(TypedDict):
    """The fields of a user that can identify it. `custom` has the values of custom fields, by key."""

    email: str | None
    custom: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Identity:
    """The identifier of a tenant's users. `custom` is the key of the custom field; None: the email address."""

    custom: str | None = None

    @property
    def by_address(self) -> bool:
        """Whether it is the address. If not, addresses may change, and may have to wait until they are free."""
        return self.custom is None

    @property
    def setting(self) -> str:
        """The value of the setting `identifier`."""
        return self.custom or "email"

    @property
    def column(self) -> Literal["external_id", "email_key"]:
        """The column of users with the identifier as it is compared."""
        return "external_id" if self.custom else "email_key"

    @property
    def shown_column(self) -> Literal["external_id", "email"]:
        """The column of users with the identifier as it is shown."""
        return "external_id" if self.custom else "email"

    def of(self, user: Identified) -> str | None:
        """Return the identifier of a user of a directory; None if it has none."""
        found: str | None = user["custom"].get(self.custom) if self.custom else user["email"]
        return found

    def shown_sql(self, table: str) -> str:
        """Return SQL for the text that names a user in a file: the identifier, else the address."""
        return f"coalesce({table}.external_id, {table}.email)" if self.custom else f"{table}.email"

    def key(self, text: str) -> str:
        """Return `text` as identifiers are compared."""
        return text if self.custom else email_key(text)


BY_ADDRESS = Identity()


def identity_of(settings: ImportSettings) -> Identity:
    """Return the identifier under these settings."""
    return Identity(None if settings.identifier == "email" else settings.identifier)
