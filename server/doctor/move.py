"""The finding about a place that is being moved, or was moved."""

from __future__ import annotations

from engine.marks import MarkStore
from server.doctor.findings import Finding, Severity
from server.tenants.moves import marks_in, why_unused


async def of_move(name: str, where: str, store: MarkStore) -> tuple[list[Finding], bool]:
    """Return the finding about the place with this name, if it has a mark of a move, and whether it is the target.

    Nothing else is to be said of a target: what is missing there is in the source, and no backup has it.
    """
    marks = await marks_in(store)
    why = why_unused(name, marks)
    if why is None:
        return [], False
    severity = Severity.NOTICE if why.code == "moved" else Severity.WARNING
    return [Finding(None, where, severity, why.what, why.do)], marks.target is not None
