"""The server, which signals itself at a step: `HEADCOUNT_TEST_STEP=... python -m tests.support.mortal_server serve`.

The signal is HEADCOUNT_TEST_SIGNAL (default: SIGKILL). Each step wraps a function of the real server, so the server
itself has no code for this. After a signal that it survives, the server continues as usual. HEADCOUNT_TEST_NOTES is
the path of a file; each phase of an import adds a line to it when it begins: the time and its name.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from engine.postgres.importing.before import PostgresLinesBefore
from engine.postgres.importing.roster import PostgresStoredUsers
from engine.postgres.server.queue import PostgresQueue
from engine.postgres.server.runs import PostgresRunStore
from engine.sqlite.importing import importing
from engine.sqlite.importing.before import SqliteLinesBefore
from engine.sqlite.importing.roster import SqliteStoredUsers
from engine.sqlite.server.queue import SqliteQueue
from engine.sqlite.server.runs import SqliteRunStore
from importer.reconcile import beside, reconcile, run, steps
from importer.undo import undo
from importer.worker import attempt
from importer.worker.closing import Closing
from server.__main__ import main
from server.files.local.at_once import AtOnce
from server.files.local.placing import Placement
from server.files.shared import uploads
from server.hooks.sending import Sending
from server.notify.invitations import DueInvitations
from server.notify.mail import Mailer
from server.notify.outbox import Outbox
from server.notify.retries import Retries
from server.notify.webhooks import Webhooks
from server.runs.run_hook import RunHook
from tests.support.chosen import EMBEDDED, chosen_engine


class Step(NamedTuple):
    """The moment before (or, with `after`, after) the `count`th call of `name` of `owner`."""

    owner: Any
    name: str
    after: bool = False
    count: int = 1


IS_EMBEDDED = chosen_engine() == EMBEDDED
QUEUE: Any = SqliteQueue if IS_EMBEDDED else PostgresQueue
RUNS: Any = SqliteRunStore if IS_EMBEDDED else PostgresRunStore
USERS: Any = SqliteStoredUsers if IS_EMBEDDED else PostgresStoredUsers
LINES: Any = SqliteLinesBefore if IS_EMBEDDED else PostgresLinesBefore
PLACES: tuple[Any, str] = (Placement, "_rename") if IS_EMBEDDED else (uploads, "_put")
"""The step that gives a file its name."""

UPLOAD_STEPS = {
    "before its id": Step(QUEUE, "arriving"),
    "after its id": Step(QUEUE, "arriving", after=True),
    "before its new name": Step(*PLACES),
    "after its new name": Step(*PLACES, after=True),
    "before it is queued": Step(QUEUE, "landed"),
    "after it is queued": Step(QUEUE, "landed", after=True),
}
SEND_STEPS = {
    "before the tested file is copied": Step(Sending, "_copy"),
    "after the tested file is copied": Step(Sending, "_copy", after=True),
    "before the tested file gets an id": Step(QUEUE, "arriving", count=2),
    "after the tested file gets an id": Step(QUEUE, "arriving", after=True, count=2),
    "before the tested file gets its name": Step(*PLACES),
    "after the tested file gets its name": Step(*PLACES, after=True),
    "before the tested file is queued": Step(QUEUE, "landed", count=2),
    "after the tested file is queued": Step(QUEUE, "landed", after=True, count=2),
}
"""The steps of a file that is sent from its test: the test itself is the first that arrives and lands."""
IMPORT_STEPS = {
    "after its claim": Step(QUEUE, "claim", after=True),
    "between batches": Step(reconcile.Reconciler, "run_batch", count=2),
    "before its commit": Step(steps.Steps, "record", after=True),
    "after its commit": Step(run, "_run", after=True),
    "before its results": Step(Closing, "finish"),
    "before its end is written": Step(QUEUE, "finish"),
    "after its end is written": Step(QUEUE, "finish", after=True),
}
if IS_EMBEDDED:
    IMPORT_STEPS |= {
        "before its log is stored": Step(importing, "put_away"),
        "after its log is stored": Step(importing, "put_away", after=True),
    }
FIRST_IMPORT_STEPS = {
    "between sheets read by a second process": Step(beside.Reading, "next", count=2),
    "after a second process has read the file": Step(beside.Reading, "next", after=True, count=3),
    "before the links are indexed": Step(USERS, "index_links"),
    "after the links are indexed": Step(USERS, "index_links", after=True),
}
IMPORT_PHASES = {
    "it waits": Step(QUEUE, "landed", after=True),
    "its header is read": Step(steps.Steps, "stream"),
    "the previous file is looked up": Step(steps, "load_before"),
    "a process is started": Step(beside.Beside, "start"),
    "rows are read and written": Step(reconcile.Reconciler, "open"),
    "links and absent users": Step(steps.Steps, "conclude"),
    "links are indexed": Step(USERS, "index_links"),
    "it is recorded": Step(USERS, "index_links", after=True),
    "its lines are kept": Step(LINES, "keep"),
    "it is committed": Step(LINES, "keep", after=True),
    "it is applied": Step(run, "_run", after=True),
    "its results are made": Step(Closing, "finish"),
    "it has ended": Step(QUEUE, "finish", after=True),
}
"""The phases of an import. Each ends when the next begins."""
LANDING_PHASES = {
    "it is offered": Step(RunHook, "arriving"),
    "it arrives": Step(RUNS, "arriving", after=True),
    "it has its name": Step(*PLACES, after=True),
    "it is queued": Step(RUNS, "landed", after=True),
}
if IS_EMBEDDED:
    LANDING_PHASES = {
        "it is offered": Step(RunHook, "at_once"),
        "it arrives": Step(AtOnce, "copy"),
        "it has its copy": Step(Placement, "link", after=True),
        "its bytes are stored": Step(AtOnce, "show"),
        "it has its name": Step(*PLACES, after=True),
        "it is queued": Step(RUNS, "land", after=True),
        "it is brought to the disk": Step(AtOnce, "keep"),
        "it is on the disk": Step(AtOnce, "keep", after=True),
    }
RUN_PHASES = {
    **LANDING_PHASES,
    "it is claimed": Step(RUNS, "claim", after=True),
    "its end is written": Step(RUNS, "finish"),
    "it has ended": Step(RUNS, "finish", after=True),
}
"""The phases of a file for a hook other than `sync_users`; the hook itself runs after it is claimed."""
UNDO_STEPS = {
    "before anything is set back": Step(undo._Undo, "run"),
    "before the commit of an undo": Step(undo._Undo, "run", after=True),
    "after the commit of an undo": Step(attempt, "undo_import", after=True),
    "before an undo is recorded": Step(QUEUE, "finish"),
    "after an undo is recorded": Step(QUEUE, "finish", after=True),
}
TELL_STEPS = {
    "before an attempt is recorded": Step(Outbox, "begin"),
    "before a mail": Step(Mailer, "send"),
    "after a mail": Step(Mailer, "send", after=True),
    "after a mail is recorded": Step(Outbox, "sent", after=True),
}
WEBHOOK_STEPS = {
    "before a webhook": Step(Webhooks, "send"),
    "after a webhook": Step(Webhooks, "send", after=True),
}
INVITE_STEPS = {
    "before an invitation": Step(Mailer, "send", count=5),
    "after an invitation": Step(Mailer, "send", after=True, count=5),
    "after an invitation is recorded": Step(DueInvitations, "sent", after=True, count=5),
}
STEPS = {
    **(UPLOAD_STEPS | SEND_STEPS | IMPORT_STEPS | FIRST_IMPORT_STEPS),
    **(UNDO_STEPS | TELL_STEPS | WEBHOOK_STEPS | INVITE_STEPS),
}


def make_mortal(step: Step, sign: signal.Signals) -> None:
    """Wrap the function so that the process signals itself there, once."""

    def strike(call: int) -> None:
        if call == step.count:
            os.kill(os.getpid(), sign)

    wrap(step, strike)


def take_notes(path: str, phases: Mapping[str, Step]) -> None:
    """Add a line to the file at `path` whenever one of these phases begins."""
    notes = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
    for name, step in phases.items():
        wrap(step, functools.partial(_note, notes, name))


def _note(notes: int, name: str, _: int) -> None:
    os.write(notes, f"{time.monotonic()} {name}\n".encode())


def wrap(step: Step, act: Callable[[int], object]) -> None:
    """Wrap the function so that each call also calls `act` with the number of the call."""
    original: Callable[..., Any] = getattr(step.owner, step.name)
    numbers = itertools.count(1)

    @functools.wraps(original)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        number = next(numbers)
        if not step.after:
            act(number)
        answer = await original(*args, **kwargs)
        if step.after:
            act(number)
        return answer

    @functools.wraps(original)
    def called(*args: Any, **kwargs: Any) -> Any:
        number = next(numbers)
        if not step.after:
            act(number)
        answer = original(*args, **kwargs)
        if step.after:
            act(number)
        return answer

    wrapper: Any = awaited if inspect.iscoroutinefunction(original) else called
    setattr(step.owner, step.name, staticmethod(wrapper) if step.name == "_rename" else wrapper)


if __name__ == "__main__":
    Retries.wait_s = lambda self, attempts: 0.1  # type: ignore[method-assign]  # tests do not wait
    run.run_import.__kwdefaults__["beside_bytes"] = 0  # also where a first file is small
    if wanted := os.environ.get("HEADCOUNT_TEST_STEP"):
        sign = signal.Signals[os.environ.get("HEADCOUNT_TEST_SIGNAL", "SIGKILL")]
        make_mortal(STEPS[wanted], sign)
    if path := os.environ.get("HEADCOUNT_TEST_NOTES"):
        take_notes(path, IMPORT_PHASES)
    main()
