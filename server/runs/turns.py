"""The end of a run, or its next attempt and when it follows. The time is an argument."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from math import isfinite

from engine.runs import Run
from ground.moments import rfc3339
from ground.waits import Growing
from headcount.hooks import Result
from importer.model import ImportState
from server.runs.ends import ATTEMPTS, WAITS_S, Again, Done, End, Failed, Stopped
from server.runs.report import has_errors, outcome_of, sentence_of

LONGEST_S = 86_400.0
"""The longest wait between two attempts, whatever the hook asks for."""

NOT_A_RESULT = "The hook returned something that is not a result. Tell the operator: the log has the cause."

WaitOf = Callable[[int, float | None], float]
"""Return the seconds until the next attempt, by the number of attempts and the wait that the hook asked for."""

_WAITS = Growing(WAITS_S[0], LONGEST_S)


@dataclass(frozen=True, slots=True)
class Waits:
    """Another attempt follows after the moment `not_before` (seconds since 1970).

    Without `counted`, the attempt that ended does not count among the five.
    """

    message: str | None
    error: str | None
    not_before: float
    counted: bool = True


def after(run: Run, end: End, now: datetime, wait: WaitOf | None = None) -> Run | Waits:
    """Return the ended run, or the wait for its next attempt. `run` is as it was when this attempt began.

    `wait` is used in place of `wait_s`.
    """
    match end:
        case Done(result):
            return _done(run, result, now)
        case Failed(message, error):
            return _failed(run, message, error, now)
        case Stopped():
            return Waits(run.message, run.error, 0.0, counted=False)
        case Again(message, error, after_s):
            if run.attempts >= ATTEMPTS:
                return _failed(run, message, error, now)
            seconds = (wait or wait_s)(run.attempts, after_s)
            return Waits(sentence_of(message), sentence_of(error), now.timestamp() + seconds)


def while_stopping(end: End) -> End:
    """Return how an attempt counts that ended while the server stops: a failure may be due to the stop.

    The stop may reach what the hook needs, too: its processes by a signal, a database, the network.
    """
    asks = isinstance(end, Again) and end.after_s is not None
    return end if isinstance(end, Done) or asks else Stopped()


def wait_s(attempts: int, after_s: float | None = None) -> float:
    """Return the seconds until the next attempt, after `attempts` of them: as the hook asked, at most LONGEST_S."""
    if after_s is not None and isfinite(after_s):
        return min(max(after_s, 0.0), LONGEST_S)
    return WAITS_S[min(max(attempts, 1), len(WAITS_S)) - 1]


def is_due(run: Run, now: float) -> bool:
    """Return whether the next attempt of a queued run may begin `now` (seconds since 1970)."""
    return _WAITS.over(run.not_before, now)


def seconds_to_next(heads: Iterable[Run], now: float) -> float | None:
    """Return the seconds until the first of the waiting `heads` is due; None if none waits for a moment."""
    return min((run.not_before - now for run in heads if not is_due(run, now)), default=None)


def never_ran(run: Run, state: ImportState, message: str, error: str | None, now: datetime) -> Run:
    """Return an upload as it is after it became no run: `aborted` or `ignored`."""
    return replace(run, state=state, message=sentence_of(message), error=sentence_of(error), finished_at=rfc3339(now))


def _done(run: Run, result: Result, now: datetime) -> Run:
    try:
        outcome, errors, message = outcome_of(result), has_errors(result), sentence_of(result.message)
    except Exception as error:  # the hook's values may be of any type
        return _failed(run, NOT_A_RESULT, f"{type(error).__name__} in the result of the hook", now)
    state = ImportState.COMPLETED_WITH_ERRORS if errors else ImportState.COMPLETED
    return replace(
        run, state=state, message=message, error=None, outcome=outcome, finished_at=rfc3339(now), not_before=0.0
    )


def _failed(run: Run, message: str, error: str | None, now: datetime) -> Run:
    return replace(
        run,
        state=ImportState.FAILED,
        message=sentence_of(message),
        error=sentence_of(error),
        outcome=None,
        finished_at=rfc3339(now),
        not_before=0.0,
    )
