"""What the undo of an import changes of one user, and what it has to leave.  Pure.

A field is put back only where it still has the value that the import gave it: what something else has changed since
is left, and reported. Custom fields are told apart, each by its key.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from importer.model import Problem, Severity
from importer.reconcile.plan import custom_json
from importer.rules.identity import Identity
from importer.users.columns import CUSTOM, SHOWN_AS, Columns, User, ids_in
from importer.users.undoing import AddressLeft, Change

ADDRESS = ("email", "email_key")
"""Put back together, and after everything else: two users can't share one."""


@dataclass(slots=True)
class PutBack:
    """What is written of one user, by column, and what is left as it is, with the reason."""

    columns: Columns = field(default_factory=dict)
    left: list[Problem] = field(default_factory=list)


def put_back(user: User, changes: Iterable[Change], identity: Identity) -> PutBack:
    """Undo `changes` of `user`, except of the address. What tells who is who stays, as `identity` says."""
    found = PutBack()
    now: Mapping[str, object] = user
    for change in changes:
        if change.field in ADDRESS:
            continue
        if change.field.startswith(CUSTOM):
            _put_back_custom(found, user, change, identity)
        elif now[change.field] != change.new:
            found.left.append(changed_since(user, change.field))
        elif change.field == "state" and change.old == "deactivated" and user["protected"]:
            found.left.append(still_protected(user))
        else:
            found.columns[change.field] = change.old
    return found


def _put_back_custom(found: PutBack, user: User, change: Change, identity: Identity) -> None:
    key = change.field.removeprefix(CUSTOM)
    values = json.loads(str(found.columns.get("custom") or user["custom"]))
    now = json.dumps(values[key]) if key in values else None
    if now != change.new or key == identity.custom:
        found.left.append(changed_since(user, key))
    else:
        values[key] = None if change.old is None else json.loads(str(change.old))
        found.columns["custom"] = custom_json(values)


def with_existing(found: PutBack, user: User, exists: Mapping[str, set[int]]) -> PutBack:
    """`found` without links to what was removed since. `exists` has the ids that are there, by column."""
    for name in exists.keys() & found.columns.keys():
        if not exists[name].issuperset(ids_in(found.columns[name])):
            del found.columns[name]
            found.left.append(removed_since(user, name))
    return found


def nobody_left() -> Problem:
    message = "A user whom this import had changed does not exist any more."
    return Problem(Severity.WARNING, "removed_since", message)


def named(user: User) -> str:
    """The user as a person reads it."""
    known_by = user["email"] or user["external_id"]
    return f"{user['first_name']} {user['last_name']}{f' ({known_by})' if known_by else ''}"


def changed_since(user: User, name: str) -> Problem:
    shown = SHOWN_AS.get(name, name)
    message = f"{named(user)}: {shown} was changed by something else since this import, and stays as it is now."
    return Problem(Severity.WARNING, "changed_since", message, None, shown)


def removed_since(user: User, name: str) -> Problem:
    shown = SHOWN_AS[name]
    message = f"{named(user)}: what {shown} was before does not exist any more, so it stays as it is now."
    return Problem(Severity.WARNING, "removed_since", message, None, shown)


def still_protected(user: User) -> Problem:
    message = f"{named(user)} is protected, and stays active. The operator can lift the protection."
    return Problem(Severity.WARNING, "protected_user", message, None, "state")


def address_left(found: AddressLeft) -> Problem:
    if not found.taken:
        return changed_since(found.user, "email")
    message = (
        f"{named(found.user)}: the former address {found.former} belongs to somebody else now;"
        " the address stays as it is."
    )
    return Problem(Severity.WARNING, "changed_since", message, None, "email")
