"""The states that each change of an import, or of a run of another hook, begins in and leads to. Pure.

    arriving -> queued -> running -> a final state, or held
    arriving -> aborted, ignored          queued, held -> superseded
    running  -> queued (to be retried)    held -> queued (approved, proven complete), discarded
    applied  -> queued (to be undone) -> running -> undone, or the state before the undo
    failed   -> queued (a run of a hook that is run again)

An engine makes a change only in a state that its step begins in, within the transaction of the change. If the server
and a command decide at the same time, one wins.
"""

from __future__ import annotations

from dataclasses import dataclass

from importer.model import APPLIED, NEVER_RAN, ImportState


@dataclass(frozen=True, slots=True)
class Step:
    """A change of state: from one of `begins` to one of `ends`."""

    begins: frozenset[ImportState]
    ends: frozenset[ImportState]

    def to(self, state: ImportState) -> ImportState:
        """Return `state`. Raises ValueError if the step does not lead to it."""
        if state not in self.ends:
            raise ValueError(f"this step does not lead to {state.value}")
        return state


def _states(*states: ImportState) -> frozenset[ImportState]:
    return frozenset(states)


_ARRIVING, _QUEUED, _RUNNING = (
    _states(each) for each in (ImportState.ARRIVING, ImportState.QUEUED, ImportState.RUNNING)
)
_HELD, _FAILED = _states(ImportState.HELD), _states(ImportState.FAILED)

LAND = Step(_ARRIVING, _QUEUED)
NEVER_RUN = Step(_ARRIVING, NEVER_RAN)
CLAIM = Step(_QUEUED, _RUNNING)
REQUEUE = Step(_RUNNING, _QUEUED)
FINISH = Step(_RUNNING, APPLIED | _HELD | _FAILED | {ImportState.UNDONE})
SUPERSEDE = Step(_QUEUED | _HELD, _states(ImportState.SUPERSEDED))
APPROVE = Step(_HELD, _QUEUED)
DISCARD = Step(_HELD, _states(ImportState.DISCARDED))
UNDO = Step(APPLIED - {ImportState.UNCHANGED}, _QUEUED)

FINISH_RUN = Step(_RUNNING, _FAILED | {ImportState.COMPLETED, ImportState.COMPLETED_WITH_ERRORS})
RERUN = Step(_FAILED, _QUEUED)

OF_IMPORTS = (LAND, NEVER_RUN, CLAIM, REQUEUE, FINISH, SUPERSEDE, APPROVE, DISCARD, UNDO)
OF_RUNS = (LAND, NEVER_RUN, CLAIM, REQUEUE, FINISH_RUN, RERUN)

RUN_STATES = _ARRIVING.union(*(step.ends for step in OF_RUNS))
"""The states that a run of a hook can be in."""
