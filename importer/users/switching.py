"""A tenant's users come to be told apart by another field: refused while that could not work, and says who.  Pure.

A value of the field may be one user's only; somebody active without one could be named by no row.
"""

from __future__ import annotations

from collections.abc import Sequence

from importer.errors import Refused, TryAgain

NAMED = 10
"""So many users are named in a refusal; the rest is counted."""


def switched() -> TryAgain:
    """Users are told apart by something else than the one who asks believes."""
    return TryAgain("settings_changed", "the tenant's settings are being changed")


def missing(field: str, names: Sequence[str]) -> Refused:
    """These active users have no value of `field`."""
    return Refused(
        "identifier_missing",
        f"{field} can't be the identifier yet: {_listed(names)} "
        f"{'has' if len(names) == 1 else 'have'} none. Let an import fill it first.",
    )


def shared(field: str, values: Sequence[tuple[object, str]]) -> Refused:
    """Several users each have these values of `field`: each with their names."""
    found = [f"{names} share {value}" for value, names in values]
    return Refused(
        "identifier_shared",
        f"{field} can't be the identifier yet: {_listed(found, '; ')}. Correct one of each first.",
    )


def _listed(names: Sequence[str], between: str = ", ") -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return between.join(names[:NAMED]) + more
