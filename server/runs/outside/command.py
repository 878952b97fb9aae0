"""A hook that is a command: each delivery is one run of another program, which reads the file on standard input.

No shell takes part. The program gets the arguments of the operator's list, and the facts of the file as variables of
its environment. So a name of a file can never become an argument.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ground.children import Child, spawn
from ground.threads import finish
from headcount.hooks import Result
from server.runs.ends import Again, Done, End, Failed
from server.runs.outside import facts
from server.runs.outside.said import Said, first_line, said
from server.runs.registry import Attempt

log = logging.getLogger(__name__)

MAX_OUTPUT = 1024 * 1024
"""How many bytes of the standard output are kept; the rest is read and dropped."""

MAX_ERRORS = 4096
TRY_AGAIN = 75
"""The exit code that asks for another attempt: EX_TEMPFAIL of sysexits.h."""

ASKS_AGAIN = "The program of this hook asks for another attempt."
FAILED = "The program of this hook failed. Tell the operator."

OUTPUT = "output.txt"
"""The report with the standard output, if it is more than the run's report has."""


class CommandHook:
    """Runs one command for each delivery. Has no `accept`.

    `environment` is what the program gets besides the facts, and `folder` its current folder.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], folder: Path, timeout_s: float
    ) -> None:
        self._command = command
        self._folder = folder
        self._environment = environment
        self._timeout_s = timeout_s

    asks = False

    async def accept(self, tenant: str, path: str, size: int, file: Path) -> None:
        """Accept every file."""

    async def deliver(self, attempt: Attempt) -> End:
        """Run the command once. It has ended, with all that it started, when this returns or is canceled."""
        try:
            child = self._start(attempt)
        except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
            why = f"{type(error).__name__}: {error}"
            facts.tell_failure(log, attempt, why)
            return Again("The server cannot start the program of this hook. Tell the operator.", why)
        return await self._result(child, attempt)

    def _start(self, attempt: Attempt) -> Child:
        with attempt.copy.open("rb") as file:
            return spawn(
                self._command,
                folder=self._folder,
                env={**self._environment, **facts.variables(attempt)},
                stdin=file,
                keep_stdout=MAX_OUTPUT,
                keep_stderr=MAX_ERRORS,
            )

    async def _result(self, child: Child, attempt: Attempt) -> End:
        try:
            async with asyncio.timeout(self._timeout_s):
                code: int | None = await child.wait()
        except TimeoutError:
            code = None
        finally:
            await finish(child.end())
        if code not in (0, TRY_AGAIN):
            facts.tell_failure(log, attempt, reason(code, self._timeout_s))
        spoken = said(bytes(child.stdout.kept))
        end = end_of(code, spoken.result, first_line(bytes(child.stderr.kept)), self._timeout_s)
        if not _shows_all(end, spoken):
            with suppress(OSError):  # such as a full disk: the program has ended all the same
                attempt.reports.joinpath(OUTPUT).write_bytes(child.stdout.kept)
        return end


def end_of(code: int | None, result: Result, complaint: str | None, timeout_s: float) -> Done | Again | Failed:
    """Return how an attempt ends whose program ended with `code`; None: it was killed after `timeout_s`.

    A negative code is a signal: a crash, no memory, or a stop of the machine. Another attempt may succeed then.
    `complaint` is the first line of standard error.
    """
    if code == 0:
        return Done(result)
    if code is None:
        message = f"The program of this hook did not end within {timeout_s:g} seconds."
    elif code < 0:
        message = "The program of this hook was stopped or crashed."
    else:
        message = result.message or (ASKS_AGAIN if code == TRY_AGAIN else FAILED)
    error = reason(code, timeout_s) + (f": {complaint}" if complaint else "")
    if code is None or code < 0 or code == TRY_AGAIN:
        return Again(message, error, by_signal=code is not None and code < 0)
    return Failed(message, error)


def reason(code: int | None, timeout_s: float) -> str:
    """Return what ended a program, for the operator."""
    if code is None:
        return f"no end within {timeout_s:g} seconds"
    return f"exit code {code}" if code >= 0 else f"ended by {_signal(-code)}"


def _shows_all(end: Done | Again | Failed, spoken: Said) -> bool:
    """Return whether the report of the run shows all that the program printed."""
    if isinstance(end, Done):
        return spoken.whole
    result = spoken.result
    return spoken.whole and not (result.counts or result.messages) and result.message in (None, end.message)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # such as a real-time signal
        return f"signal {number}"
