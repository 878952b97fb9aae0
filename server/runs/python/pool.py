"""The processes in which plain functions of hooks run: started when needed, kept warm for a while, then ended.

A process belongs to one hook and runs one call at a time, for any tenant. So tenants without uploads cost nothing. A
call that takes too long, or whose caller is canceled, ends with its process.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import headcount
from ground.children import Child, spawn
from ground.threads import finish
from server.runs.python.answers import LONGEST_ANSWER, Answer, Raised, from_json
from server.runs.python.gates import Gates

PROCESS = Path(headcount.__file__).with_name("_process.py")

DELIVERIES_AT_ONCE = 4
ACCEPTS_AT_ONCE = 8
"""Processes of one hook: one that blocks delays no other hook. Accepts have more, because clients wait for them."""

MOST_IDLE = 8
IDLE_S = 60.0
LOAD_S = 60.0
"""The time limit for the start of a process and the import of its module, in seconds."""

LONG_LINE = 256 * 1024
"""In bytes: a longer answer is read in a thread."""

KEPT_OUTPUT = 16 * 1024


Printed = Callable[[bytes], None]
"""Gets the beginning of what a hook printed during a call, even if that fails."""


class TimedOut(Exception):  # noqa: N818 - an answer, not an error
    """The call took longer than its limit; its process is ended."""


class Ended(Exception):  # noqa: N818 - an answer, not an error
    """The process ended before it answered, or could not be started. The message is for the operator.

    The log gets what precedes ": " in it, and `trace`: neither has the text of an exception of the hook.
    """

    def __init__(self, message: str, trace: str = "", *, by_signal: bool = False) -> None:
        super().__init__(message)
        self.trace = trace
        self.by_signal = by_signal


@dataclass(frozen=True, slots=True)
class Code:
    """The code that a process loads: the hook of this name, as the module declares it. Without a name: the module."""

    module: str
    hook: str
    max_memory_bytes: int | None = None


class Member:
    """One process that has loaded its code."""

    def __init__(self, code: Code, child: Child, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.code = code
        self.fit = True
        """Whether it can run another call."""
        self.retiring: asyncio.TimerHandle | None = None
        self._child = child
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(cls, code: Code, env: Mapping[str, str]) -> Member:
        """Start a process. Raises Ended, also for a module that cannot be imported; then nothing is left of it."""
        try:
            ours, theirs = socket.socketpair()
            with theirs:
                reader, writer = await asyncio.open_unix_connection(sock=ours, limit=LONGEST_ANSWER + 1)
                member = cls(code, _spawn(code, env, theirs.fileno(), writer), reader, writer)
        except OSError as error:
            raise Ended(f"no process could be started ({error.strerror})") from None
        try:
            await member._load()
        except BaseException:
            await finish(member.end())
            raise
        return member

    async def _load(self) -> None:
        try:
            async with asyncio.timeout(LOAD_S):
                line = await self._ask({"module": self.code.module, "hook": self.code.hook, "path": absolute_path()})
            answer, _ = _read(line)
        except TimeoutError:
            raise Ended(f"its module was not imported within {LOAD_S:g} s") from None
        except ValueError as error:
            raise Ended(f"its process sent a wrong answer: {error}") from None
        if isinstance(answer, Raised):
            raise Ended(f"its module cannot be imported: {answer.error}", answer.trace)

    async def call(self, request: dict[str, Any], timeout_s: float) -> Answer:
        """Send a request and wait for the answer. Raises TimedOut and Ended; then the process has to be ended."""
        self.fit = False
        try:
            async with asyncio.timeout(timeout_s):
                line = await self._ask(request)
        except TimeoutError:
            raise TimedOut from None
        try:
            answer, fit = await asyncio.to_thread(_read, line) if len(line) > LONG_LINE else _read(line)
        except ValueError as error:
            raise Ended(f"its process sent a wrong answer: {error}") from None
        self.fit = fit
        return answer

    async def _ask(self, request: dict[str, Any]) -> bytes:
        with suppress(ConnectionError):  # then nothing is read either
            self._writer.write(json.dumps(request).encode() + b"\n")
            await self._writer.drain()
        try:
            return await self._reader.readuntil(b"\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            code = await self.end()
            raise Ended(how_it_ended(code), by_signal=code < 0) from None
        except asyncio.LimitOverrunError:
            raise Ended("its process sent a wrong answer") from None

    def printed(self) -> bytes:
        """Return the beginning of what was printed since the last call of this."""
        return self._child.stdout.take() + self._child.stderr.take()

    @property
    def is_alive(self) -> bool:
        return self._child.code is None

    async def end(self) -> int:
        """Kill the process and all that it started; return its exit code or negative signal when they are gone."""
        self._writer.close()
        return await self._child.end()


class Pool:
    """The processes of all hooks of a server. Making one starts nothing; `close` ends all processes."""

    def __init__(
        self,
        env: Mapping[str, str],
        *,
        deliveries_at_once: int = DELIVERIES_AT_ONCE,
        accepts_at_once: int = ACCEPTS_AT_ONCE,
        idle_s: float = IDLE_S,
    ) -> None:
        """`env`: the environment of the processes. `idle_s`: the seconds that one is kept without a call."""
        self._env = env
        self._idle_s = idle_s
        self._idle: list[Member] = []
        self._ending: set[asyncio.Task[int]] = set()
        self._deliveries = Gates(deliveries_at_once)
        self._accepts = Gates(accepts_at_once)
        self._closed = False

    async def deliver(self, code: Code, request: dict[str, Any], timeout_s: float, printed: Printed) -> Answer:
        """Call the hook. The time limit starts when a process is ready. Raises TimedOut and Ended."""
        async with self._deliveries.of(code):
            return await self._call(code, {"deliver": request}, timeout_s, printed)

    async def accept(self, code: Code, request: dict[str, Any], timeout_s: float, printed: Printed) -> Answer:
        """Call the hook's `accept`, as `deliver` calls the hook."""
        async with self._accepts.of(code):
            return await self._call(code, {"accept": request}, timeout_s, printed)

    async def _call(self, code: Code, request: dict[str, Any], timeout_s: float, printed: Printed) -> Answer:
        member = self._take(code) or await Member.start(code, self._env)
        try:
            return await member.call(request, timeout_s)
        finally:
            if member.fit and not self._closed:
                self._keep(member)
            else:
                await finish(member.end())
            printed(member.printed())

    def _take(self, code: Code) -> Member | None:
        """Return a process that has loaded this code and has nothing to do: the newest."""
        for member in reversed(self._idle):
            if member.code == code and member.is_alive:
                self._remove(member)
                return member
        return None

    def _keep(self, member: Member) -> None:
        member.retiring = asyncio.get_running_loop().call_later(self._idle_s, self._retire, member)
        self._idle.append(member)
        if len(self._idle) > MOST_IDLE:
            self._retire(self._idle[0])

    def _remove(self, member: Member) -> None:
        self._idle.remove(member)
        if member.retiring:
            member.retiring.cancel()

    def _retire(self, member: Member) -> None:
        self._remove(member)
        task = asyncio.get_running_loop().create_task(member.end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """End the idle processes, and return when they are gone. A call that is canceled ends its own."""
        self._closed = True
        for member in list(self._idle):
            self._retire(member)
        if self._ending:
            await asyncio.wait(self._ending)


async def why_not_imported(module: str, env: Mapping[str, str]) -> str | None:
    """Import a module in a process of its own; return why it would end or hold a server that imports it.

    Whether it raises an exception does not matter here.
    """
    try:
        member = await Member.start(Code(module, ""), env)
    except Ended as error:
        return str(error)
    await finish(member.end())
    return None


def _read(line: bytes) -> tuple[Answer, bool]:
    """Return the answer in a line, and whether the process can answer again. Raises ValueError."""
    found = json.loads(line)
    return from_json(found), found.get("fit") is True


def absolute_path() -> list[str]:
    """Return where this process finds modules, for a process whose current folder may change."""
    return [os.path.abspath(folder) for folder in sys.path]


def _spawn(code: Code, env: Mapping[str, str], control: int, writer: asyncio.StreamWriter) -> Child:
    try:
        return spawn(
            [sys.executable, "-P", str(PROCESS), str(control)],
            env=env,
            descriptors=[control],
            max_memory_bytes=code.max_memory_bytes,
            keep_stdout=KEPT_OUTPUT,
            keep_stderr=KEPT_OUTPUT,
        )
    except OSError:
        writer.close()
        raise


def how_it_ended(code: int) -> str:
    """Return in words how a process ended."""
    if code >= 0:
        return f"its process exited with {code}"
    known = -code in set(signal.Signals)
    return f"its process was ended by {signal.Signals(-code).name if known else f'signal {-code}'}"
