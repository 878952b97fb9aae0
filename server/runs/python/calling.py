"""Run the Python function of a hook: an async one in the event loop, a plain one in a process of its own.

An async function is trusted with the loop: the log says which hook held it for long. A plain function, and an async
one declared with `isolation="process"`, cannot hurt the server: see `server/runs/python/pool.py`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ground.threads import finish
from headcount.hooks import Declared, Refuse, Result, Retry, Upload
from server.runs.ends import Again, Done, End, Failed, Refused
from server.runs.python.answers import Answer, Raised, Unfit, accepted, delivery_of, raised, returned, trace_of
from server.runs.python.child import run
from server.runs.python.gates import Gates
from server.runs.python.pool import Code, Ended, Pool, Printed, TimedOut
from server.runs.python.steps import Watch, watched
from server.runs.registry import Attempt
from server.seldom import Seldom

log = logging.getLogger(__name__)

LONG_STEP_S = 1.0
"""How long an async function may hold the event loop before the log says so, in seconds."""

GIVE_UP_S = 5.0
"""How long a canceled async function may take to end, in seconds."""

ACCEPTS_OF_A_TENANT = 2
LOGGED_LINES = 20
LONGEST_LINE = 500

SEE_LOG = "Tell the operator: the log has the cause."


class Workshop:
    """The processes and gates that all Python hooks of a server share. Making one starts nothing."""

    def __init__(self, pool: Pool, *, threads: bool = False) -> None:
        """`threads`: plain functions run in a thread, without protection, unless they say `isolation="process"`."""
        self.pool = pool
        self.threads = threads
        self.accepts = Gates(ACCEPTS_OF_A_TENANT)

    async def close(self) -> None:
        """End the idle processes. Calls that run end when they are canceled."""
        await self.pool.close()


@dataclass(frozen=True, slots=True)
class Call:
    """A function to call once: its argument, the meaning of its return value, and how a process calls it."""

    function: Callable[[Any], Any]
    argument: Callable[[], Any]
    means: Callable[[object], Answer]
    limit_s: float
    in_process: Callable[[Printed], Awaitable[Answer]]
    counts_when_canceled: bool = False
    """Whether an answer counts that an async function returns in spite of its cancellation."""


@dataclass(frozen=True, slots=True)
class Calling:
    """A Python function as the `Runnable` of a hook. `module` is the one in which the hook was found."""

    declared: Declared
    module: str
    workshop: Workshop = field(repr=False)

    async def deliver(self, attempt: Attempt) -> End:
        """See `Runnable`."""
        facts = {"hook": attempt.hook, "tenant": attempt.tenant, "run_id": attempt.run_id}
        declared, limit_s = self.declared, self.declared.timeout_s

        async def in_process(printed: Printed) -> Answer:
            files = {"copy": os.path.abspath(attempt.copy), "reports": os.path.abspath(attempt.reports)}
            return await self.workshop.pool.deliver(self._code, {**asdict(attempt), **files}, limit_s, printed)

        call = Call(declared.function, lambda: delivery_of(declared, attempt), returned, limit_s, in_process, True)
        try:
            answer = await self._run(call, facts)
        except TimedOut:
            return self._timed_out(limit_s, facts)
        except Ended as error:
            return self._ended(error, facts)
        return self._end(answer, facts)

    @property
    def asks(self) -> bool:
        """See `Runnable`."""
        return self.declared.accept is not None

    async def accept(self, tenant: str, path: str, size: int, file: Path) -> Refused | None:
        """See `Runnable`. The time limit starts when the tenant has fewer than two others in work."""
        accept, declared = self.declared.accept, self.declared
        if accept is None:
            return None
        facts = {"hook": declared.name, "tenant": tenant}
        upload = Upload(tenant, path, path.rsplit("/", 1)[-1], size, file)

        async def in_process(printed: Printed) -> Answer:
            request = {**asdict(upload), "_file": os.path.abspath(file)}
            return await self.workshop.pool.accept(self._code, request, declared.accept_timeout_s, printed)

        call = Call(accept, lambda: upload, accepted, declared.accept_timeout_s, in_process)
        async with self.workshop.accepts.of(tenant):
            try:
                answer = await self._run(call, facts)
            except TimedOut:
                self._log(f"accept took longer than {declared.accept_timeout_s:g} s", facts)
                return Refused("The file could not be checked in time. Send it again later.", "accept timed out")
            except Ended as error:
                self._ended(error, facts)
                return Refused(f"The file could not be checked. {SEE_LOG}", str(error))
        return self._refused(answer, facts)

    # How it runs

    @property
    def _code(self) -> Code:
        return Code(self.module, self.declared.name, self.declared.max_memory_bytes)

    def _way(self, function: Callable[..., Any]) -> Literal["loop", "thread", "process"]:
        if self.declared.isolation == "process":
            return "process"
        if is_async(function):
            return "loop"
        return "thread" if self.workshop.threads else "process"

    async def _run(self, call: Call, facts: dict[str, Any]) -> Answer:
        """Return what the function answered. Raises TimedOut and Ended."""
        match self._way(call.function):
            case "loop":
                return await in_loop(call, self._watch(facts))
            case "thread":
                return await in_thread(call)
        return await call.in_process(lambda printed: self._log_printed(printed, facts))

    # Its meaning

    def _end(self, answer: Answer, facts: dict[str, Any]) -> End:
        match answer:
            case Result():
                return Done(answer)
            case Retry():
                return Again(answer.why, "Retry", answer.after_s)
            case Refuse():  # only `accept` can refuse
                answer = Raised(f"Refuse: {answer.message}", "")
            case Unfit():
                return self._unfit(answer, facts)
        self._log(answer.error.partition(":")[0], facts, answer.trace)
        message = f"The hook failed. {SEE_LOG}"
        return Failed(message, answer.error) if answer.final else Again(message, answer.error)

    def _unfit(self, answer: Unfit, facts: dict[str, Any]) -> End:
        which = f": {answer.fields}" if answer.fields else ""
        self._log(f"the tenant's settings of it do not fit{which}", facts)
        message = f"Your settings of this hook do not fit{which}. Change them, then run the file again."
        return Failed(message, f"hook_settings: {answer.rules}")

    def _timed_out(self, limit_s: float, facts: dict[str, Any]) -> End:
        self._log(f"it took longer than {limit_s:g} s", facts)
        return Again(f"The hook took longer than {limit_s:g} seconds. {SEE_LOG}", f"took longer than {limit_s:g} s")

    def _ended(self, error: Ended, facts: dict[str, Any]) -> End:
        self._log(str(error).partition(": ")[0], facts, error.trace)
        return Again(f"The hook ended unexpectedly. {SEE_LOG}", str(error), by_signal=error.by_signal)

    def _refused(self, answer: Answer, facts: dict[str, Any]) -> Refused | None:
        match answer:
            case Result():
                return None
            case Refuse():
                return Refused(answer.message)
            case Retry():
                return Refused(answer.why, "Retry")
            case Unfit():  # only a delivery has settings
                answer = Raised("UnfitSettings", "")
        self._log(answer.error.partition(":")[0], facts, answer.trace)
        return Refused(f"The file could not be checked. {SEE_LOG}", answer.error)

    # The log never gets the text of an exception, which may quote cells

    def _log(self, why: str, facts: dict[str, Any], trace: str = "") -> None:
        extra = {"event": "hook_failed", **facts, **({"traceback": trace} if trace else {})}
        log.error("The hook %s failed: %s.", self.declared.name, why, extra=extra)

    def _watch(self, facts: dict[str, Any]) -> Watch:
        seldom = Seldom()

        def failed(error: BaseException) -> None:
            if seldom.again(time.monotonic()):
                self._log(f"{type(error).__name__} in a task that it does not await", facts, trace_of(error))

        return Watch(LONG_STEP_S, lambda took_s: self._held(took_s, facts), failed)

    def _held(self, took_s: float, facts: dict[str, Any]) -> None:
        log.warning(
            "The hook %s held the event loop for %.1f s; all clients waited.",
            self.declared.name,
            took_s,
            extra={"event": "hook_held_loop", **facts},
        )

    def _log_printed(self, printed: bytes, facts: dict[str, Any]) -> None:
        if printed and log.isEnabledFor(logging.DEBUG):
            for line in printed.decode("utf-8", "replace").splitlines()[:LOGGED_LINES]:
                log.debug("The hook %s printed: %s", self.declared.name, line[:LONGEST_LINE], extra=facts)


def is_async(function: Callable[..., Any]) -> bool:
    """Return whether a call of `function` gives a coroutine."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


async def in_loop(call: Call, watch: Watch) -> Answer:
    """Run an async function as a task, watched. Raises TimedOut.

    If it ignores its cancellation for GIVE_UP_S, it is left behind. If it returned in spite of it, and that counts,
    its answer takes the place of the cancellation: what is done must not be done again.
    """
    task = asyncio.get_running_loop().create_task(_answered(call, watch))
    try:
        await asyncio.wait([task], timeout=call.limit_s)
    except asyncio.CancelledError:
        with suppress(asyncio.CancelledError):
            await finish(_cancel(task))
        ended = task.done() and not task.cancelled()
        if not (call.counts_when_canceled and ended) or isinstance(task.result(), Raised):
            raise
        return task.result()
    if not task.done():
        await finish(_cancel(task))
        raise TimedOut
    return raised(asyncio.CancelledError()) if task.cancelled() else task.result()


async def _answered(call: Call, watch: Watch) -> Answer:
    try:
        return call.means(await watched(call.function(call.argument()), watch))
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # a SystemExit of a task would end the loop
        return raised(error)


LEFT_BEHIND: set[asyncio.Task[Any]] = set()
"""Async functions that ignored their cancellation: the loop itself would not keep them."""


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task], timeout=GIVE_UP_S)
    if not task.done():
        LEFT_BEHIND.add(task)
        task.add_done_callback(LEFT_BEHIND.discard)


async def in_thread(call: Call) -> Answer:
    """Run a plain function in a thread of its own. Raises TimedOut; the thread goes on then."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Answer] = loop.create_future()

    def report(answer: Answer) -> None:
        if not future.done():
            future.set_result(answer)

    def work() -> None:
        try:
            answer = call.means(run(call.function, call.argument()))
        except BaseException as error:
            answer = raised(error)
        with suppress(RuntimeError):  # the loop is closed: the caller gave up
            loop.call_soon_threadsafe(report, answer)

    threading.Thread(target=work, daemon=True).start()
    try:
        async with asyncio.timeout(call.limit_s):
            return await future
    except TimeoutError:
        raise TimedOut from None
