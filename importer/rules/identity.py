"""Who a row is: by e-mail address, or by a custom field such as an employee number.  Pure.

Addresses are compared in NFC and lower case, custom identifiers exactly. The table users has a column for each:
`email_key`, and `external_id` with the value of the custom field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from importer.rules.emails import email_key
from importer.rules.settings import ImportSettings


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells the users of one tenant apart. `custom` is the key of the custom field, None for the address."""

    custom: str | None = None

    @property
    def column(self) -> str:
        """The column of users that holds it as it is compared."""
        return "external_id" if self.custom else "email_key"

    def of(self, user: Mapping[str, Any]) -> str | None:
        """The identifier of a user, as `directory.user_json` shows one; None if they have none."""
        found: str | None = user["custom"].get(self.custom) if self.custom else user["email"]
        return found

    @property
    def shown_column(self) -> str:
        """The column of users that holds it as people see it."""
        return "external_id" if self.custom else "email"

    def shown_sql(self, table: str) -> str:
        """SQL for whom a link names: the identifier, else the address, as files name them."""
        return f"coalesce({table}.external_id, {table}.email)" if self.custom else f"{table}.email"

    def key(self, text: str) -> str:
        """`text` as an identifier is compared."""
        return text if self.custom else email_key(text)


BY_ADDRESS = Identity()


def identity_of(settings: ImportSettings) -> Identity:
    """What tells users apart under these settings."""
    return Identity(None if settings.identifier == "email" else settings.identifier)
