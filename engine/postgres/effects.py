"""SQL for the effect of applied imports."""

from __future__ import annotations

from importer.model import CHANGED

_CHANGED = " + ".join(f"(outcome -> 'counts' ->> '{name}')::bigint" for name in CHANGED)
OUTCOME_STATE = "outcome ->> 'state'"
"""SQL: the state in the `outcome` of a row of `applied`."""


def changed_a_user(state: str) -> str:
    """Return SQL: the applied import whose state is the SQL `state`, with its `outcome` in this row, changed a user.

    `unchanged` alone is not enough: if all rows with changes were rejected, an import changed no user either. An
    outcome without counts may have changed one.
    """
    rejected_all = f"CASE WHEN {state} = 'completed_with_errors' THEN coalesce({_CHANGED}, 1) = 0 ELSE false END"
    return f"{state} <> 'unchanged' AND NOT {rejected_all}"
