"""The report of a run for /results, the API, the pages and the command line: values in, values out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from engine.runs import Run, RunOutcome
from headcount.hooks import Message, Result
from importer.file.letters import one_line
from importer.model import MESSAGES_IN_REPORT, ImportState, ProblemJson, Severity

LETTERS_KEPT = 1000
"""The most characters of a sentence or message of a hook."""
WORD_KEPT = 100
"""The most characters of a code, of a column and of the name of a count."""
COUNTS_KEPT = 100
"""The most counts of a run."""
MORE = "more_messages"
"""The code of the message that says how many messages of a hook were left out."""


class RunFileJson(TypedDict):
    name: str
    size: int
    sha256: str | None


class RunJson(TypedDict):
    id: int
    hook: str
    path: str
    state: str
    attempt: int
    file: RunFileJson
    uploaded_at: str
    started_at: str | None
    finished_at: str | None
    message: str | None
    counts: Mapping[str, int]
    messages: Sequence[ProblemJson | dict[str, Any]]


def run_json(run: Run) -> RunJson:
    """Return the report of `run`. It has nothing that is for the operator only."""
    outcome = run.outcome
    return {
        "id": run.id,
        "hook": run.hook,
        "path": run.path,
        "state": shown_state(run).value,
        "attempt": run.attempts,
        "file": {"name": run.name, "size": run.size, "sha256": run.sha256},
        "uploaded_at": run.uploaded_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "message": run.message,
        "counts": dict(outcome.counts) if outcome else {},
        "messages": [*outcome.messages] if outcome else [],
    }


def shown_state(run: Run) -> ImportState:
    """Return the state of `run` as every list shows it: a file that arrives counts as queued."""
    return ImportState.QUEUED if run.state is ImportState.ARRIVING else run.state


def outcome_of(result: Result) -> RunOutcome:
    """Return what a hook said, as it is stored: on single lines, and cut to the limits above.

    The first `MESSAGES_IN_REPORT` messages stay, and one more says how many others were left out. Raises
    TypeError or ValueError for values of other types than `Result` names.
    """
    counts = {_word(name): int(number) for name, number in [*result.counts.items()][:COUNTS_KEPT]}
    messages = [_problem(each) for each in result.messages[:MESSAGES_IN_REPORT]]
    if left := len(result.messages) - len(messages):
        said = f"{left:,} more messages are not listed. The hook can report all of them in a file."
        messages.append(_problem(Message("notice", said, MORE)))
    return RunOutcome(counts, tuple(messages))


def sentence_of(text: str | None) -> str | None:
    """Return what a hook said as one line of at most `LETTERS_KEPT` characters; None for nothing."""
    return _cut(one_line(text), LETTERS_KEPT) or None if text else None


def has_errors(result: Result) -> bool:
    """Return whether a message of the hook is an error: then the run is `completed_with_errors`."""
    return any(Severity(message.severity) is Severity.ERROR for message in result.messages)


def _problem(message: Message) -> dict[str, Any]:
    """Return a message with the fields of those of imports."""
    return {
        "severity": Severity(message.severity).value,
        "code": _word(message.code),
        "line": None if message.line is None else int(message.line),
        "column": None if message.column is None else _word(message.column),
        "value": None,
        "message": sentence_of(message.message) or "",
    }


def _word(text: str) -> str:
    return _cut(one_line(text), WORD_KEPT)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
