"""One sentence about a run: how it ended, or what it waits for."""

from __future__ import annotations

from datetime import UTC, datetime

from engine.runs import Run
from importer.model import ImportState
from server.runs.ends import ATTEMPTS
from server.web.pages.sentences import capital, with_stop

STATES = {
    ImportState.QUEUED: "Queued",
    ImportState.RUNNING: "Running",
    ImportState.COMPLETED: "Completed",
    ImportState.COMPLETED_WITH_ERRORS: "Completed with errors",
    ImportState.FAILED: "Failed",
    ImportState.ABORTED: "Upload failed",
    ImportState.IGNORED: "Ignored: wrong file name",
}
"""The labels of the states of a run. An upload that a hook refused is `aborted` too."""

DEFAULTS = {
    ImportState.COMPLETED: "The hook has read this file.",
    ImportState.COMPLETED_WITH_ERRORS: "The hook has read this file and found errors in it.",
    ImportState.FAILED: "The hook could not read this file.",
    ImportState.ABORTED: "The upload failed. No hook received this file.",
    ImportState.IGNORED: "The file name is wrong. No hook received this file.",
}
"""The sentences of the states of a run without a message."""


def sentence(run: Run, now: float) -> str:
    """Return the sentence about `run`; `now` is in seconds since 1970. Pure."""
    if run.state in {ImportState.ARRIVING, ImportState.QUEUED}:
        return _queued(run, now)
    if run.state is ImportState.RUNNING:
        return f"Attempt {run.attempts} of {ATTEMPTS} is running."
    return with_stop(capital(run.message)) if run.message else DEFAULTS[run.state]


def _queued(run: Run, now: float) -> str:
    why = f"{with_stop(capital(run.message))} " if run.message else ""
    if not run.attempts:
        return f"{why}Queued."
    which = f"Attempt {run.attempts + 1} of {ATTEMPTS}"
    if run.not_before <= now:
        return f"{why}{which} is next."
    return f"{why}{which} follows at {datetime.fromtimestamp(run.not_before, UTC):%Y-%m-%d %H:%M} UTC."
