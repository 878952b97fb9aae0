"""The finding about a place that is being moved, or was moved."""

from __future__ import annotations

from engine.marks import MarkStore
from server.doctor.findings import Finding, Severity
from server.tenants.moves import marks_in, why_unused


async def of_move(name: str, where: str, store: MarkStore) -> list[Finding]:
    """Return the finding about the place with this name, if it has a mark of a move."""
    why = why_unused(name, await marks_in(store))
    if why is None:
        return []
    severity = Severity.NOTICE if why.code == "moved" else Severity.WARNING
    return [Finding(None, where, severity, why.what, why.do)]
