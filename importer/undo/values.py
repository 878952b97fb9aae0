"""The values of one user that an undo sets back, and those it keeps. Pure.

A field is set back only if it still has the value that the import gave it. A value that changed since then is kept
and reported. Each custom field is judged on its own, by its key.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from importer.model import Problem, Severity
from importer.reconcile.plan import custom_json
from importer.rules.identity import Identity
from importer.users.columns import CUSTOM, SHOWN_AS, Columns, User, ids_in
from importer.users.undoing import AddressKept, Change

ADDRESS = ("email", "email_key")
"""Set back together, after everything else: no two users can have the same address."""


@dataclass(slots=True)
class SetBack:
    """The values to write of one user, by column, and the values that are kept, with the reason."""

    columns: Columns = field(default_factory=dict)
    kept: list[Problem] = field(default_factory=list)


def set_back(user: User, changes: Iterable[Change], identity: Identity) -> SetBack:
    """Undo `changes` of `user`, except of the address. The identifier in `identity` keeps its value."""
    found = SetBack()
    now: Mapping[str, object] = user
    for change in changes:
        if change.field in ADDRESS:
            continue
        if change.field.startswith(CUSTOM):
            _set_back_custom(found, user, change, identity)
        elif now[change.field] != change.new:
            found.kept.append(changed_since(user, change.field))
        elif change.field == "state" and change.old == "deactivated" and user["protected"]:
            found.kept.append(still_protected(user))
        else:
            found.columns[change.field] = change.old
    return found


def _set_back_custom(found: SetBack, user: User, change: Change, identity: Identity) -> None:
    key = change.field.removeprefix(CUSTOM)
    values = json.loads(str(found.columns.get("custom") or user["custom"]))
    now = json.dumps(values[key]) if key in values else None
    if now != change.new or key == identity.custom:
        found.kept.append(changed_since(user, key))
    else:
        values[key] = None if change.old is None else json.loads(str(change.old))
        found.columns["custom"] = custom_json(values)


def with_existing(found: SetBack, user: User, exists: Mapping[str, set[int]]) -> SetBack:
    """Return `found` without links to records that were removed since. `exists` has the existing ids, by column."""
    for name in exists.keys() & found.columns.keys():
        if not exists[name].issuperset(ids_in(found.columns[name])):
            del found.columns[name]
            found.kept.append(removed_since(user, name))
    return found


def user_removed() -> Problem:
    message = "A user that this import changed no longer exists."
    return Problem(Severity.WARNING, "removed_since", message)


def named(user: User) -> str:
    """Return the user as shown to people: name, and address or identifier."""
    known_by = user["email"] or user["external_id"]
    return f"{user['first_name']} {user['last_name']}{f' ({known_by})' if known_by else ''}"


def changed_since(user: User, name: str) -> Problem:
    shown = SHOWN_AS.get(name, name)
    message = f"{named(user)}: {shown} changed after this import and keeps its value."
    return Problem(Severity.WARNING, "changed_since", message, None, shown)


def removed_since(user: User, name: str) -> Problem:
    shown = SHOWN_AS[name]
    message = f"{named(user)}: the previous {shown} no longer exists; {shown} keeps its value."
    return Problem(Severity.WARNING, "removed_since", message, None, shown)


def still_protected(user: User) -> Problem:
    message = f"{named(user)} is protected and stays active. The operator can end the protection."
    return Problem(Severity.WARNING, "protected_user", message, None, "state")


def address_kept(found: AddressKept) -> Problem:
    if not found.taken:
        return changed_since(found.user, "email")
    message = (
        f"{named(found.user)}: the previous address {found.former} belongs to another user now;"
        " email keeps its value."
    )
    return Problem(Severity.WARNING, "changed_since", message, None, "email")
