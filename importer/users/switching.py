"""A change of a tenant's identifier: refused while it could not work, with the users concerned. Pure.

Two users may not share a value of the identifier. An active user without a value could not be named by any row.
"""

from __future__ import annotations

from collections.abc import Sequence

from importer.errors import Refused, TryAgain

NAMED = 10
"""The most users that a refusal names; the rest is counted."""


def switched() -> TryAgain:
    """Return the error that the identifier is not the one that the caller expects."""
    return TryAgain("settings_changed", "the tenant's settings are being changed")


def missing(field: str, names: Sequence[str]) -> Refused:
    """Return the refusal that these active users have no value of `field`."""
    return Refused(
        "identifier_missing",
        f"{field} cannot be the identifier yet: {_listed(names)} "
        f"{'has' if len(names) == 1 else 'have'} no value. Import a file that fills it first.",
    )


def shared(field: str, values: Sequence[tuple[object, str]]) -> Refused:
    """Return the refusal that several users share each of these values of `field`, with their names."""
    found = [f"{names} share {value}" for value, names in values]
    return Refused(
        "identifier_shared",
        f"{field} cannot be the identifier yet: {_listed(found, '; ')}. Change one of each first.",
    )


def _listed(names: Sequence[str], between: str = ", ") -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return between.join(names[:NAMED]) + more
