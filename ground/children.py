"""Start another program, as a child that never outlives the server, and wait for it in the event loop.

    child = spawn(["convert", "-"], env={"PATH": "/usr/bin"}, stdin=file)
    try:
        async with asyncio.timeout(600):
            code = await child.wait()
    finally:
        await child.end()

Between the server and the program stands a keeper (`ground.keeper`). It ends the program and all that it started,
even if the server is killed. The output of the program is read to the end, but only its beginning is kept.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from ground.keeper import END
from ground.keeper import NOT_STARTED as NOT_STARTED

KEEPER = Path(__file__).with_name("keeper.py")
READ_AT_ONCE = 64 * 1024
KEPT = 64 * 1024
"""How many bytes of an output are kept, unless the caller says otherwise."""


class Output:
    """An output of a child: the first `most` bytes are kept, the rest is read and dropped, so it never waits."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._read = self.write_end = -1
        self.kept = bytearray()
        self.total = 0
        """The bytes that were printed, kept or not."""

    def open(self) -> Output:
        """Make the pipe, and return self. Raises OSError."""
        self._read, self.write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read, False)
        return self

    def begin(self) -> None:
        """Read from now on. Only the child has the other end."""
        os.close(self.write_end)
        self._loop.add_reader(self._read, self._take)

    def _take(self) -> bool:
        """Take what is there; return whether there may be more."""
        try:
            some = os.read(self._read, READ_AT_ONCE)
        except BlockingIOError:
            return False
        if not some:
            self._loop.remove_reader(self._read)
            return False
        self.total += len(some)
        self.kept += some[: self._most - len(self.kept)]
        return True

    def take(self) -> bytes:
        """Return what was kept so far, with what waits to be read, and keep the next `most` bytes anew."""
        if self._read >= 0:
            self._take()
        kept, self.kept = bytes(self.kept), bytearray()
        return kept

    def close(self) -> None:
        """Take what is left, and read no more."""
        while self._take():
            pass
        self._loop.remove_reader(self._read)
        os.close(self._read)
        self._read = -1

    def discard(self) -> None:
        """Close both ends of an output that no child got."""
        os.close(self._read)
        os.close(self.write_end)


class Child:
    """A program that runs. `end` must be called, in the event loop that started it; `wait` may be called before.

    The outputs are complete when the child has ended.
    """

    def __init__(self, keeper: subprocess.Popen[bytes], alive: int, stdout: Output, stderr: Output) -> None:
        self.pid = keeper.pid
        """The process id of the keeper: the parent of the program."""
        self.stdout = stdout
        self.stderr = stderr
        self._keeper = keeper
        self._alive = alive
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._loop.add_reader(alive, self._has_ended)
        for output in (stdout, stderr):
            output.begin()

    def _has_ended(self) -> None:
        self._loop.remove_reader(self._alive)
        os.close(self._alive)
        self._keeper.wait()  # its descriptors are closed, so this takes no time
        for output in (self.stdout, self.stderr):
            output.close()
        self._ended.set()

    @property
    def code(self) -> int | None:
        """The exit code of the program, or the negative number of the signal that ended it; None while it runs."""
        return self._keeper.returncode if self._ended.is_set() else None

    async def wait(self) -> int:
        """Wait until the program and all that it started have ended; return its `code`."""
        await self._ended.wait()
        return self._keeper.returncode

    async def end(self) -> int:
        """Kill the program and all that it started; return its `code` when they are gone. Does nothing twice."""
        if not self._ended.is_set():
            self._keeper.send_signal(END)
        return await self.wait()


def spawn(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    folder: Path | None = None,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    descriptors: Sequence[int] = (),
    max_memory_bytes: int | None = None,
    keep_stdout: int = KEPT,
    keep_stderr: int = KEPT,
) -> Child:
    """Start a program without a shell, in a session of its own; return it as it runs.

    Its current folder is `folder`, or that of the server. It has exactly the environment `env`, whose PATH finds the
    program, and the descriptors named, under their numbers. Each of its processes gets at most `max_memory_bytes` of
    address space. It ends with the thread that called this: call it in the thread of the event loop. Raises OSError
    if no process can be started; a program that is not found exits with NOT_STARTED instead. Raises ValueError for an
    argument with a NUL.
    """
    if any("\0" in each for each in arguments):
        raise ValueError("an argument cannot have a NUL character")
    with ExitStack() as undo:
        stdout, stderr = Output(keep_stdout), Output(keep_stderr)
        for output in (stdout, stderr):
            undo.callback(output.open().discard)
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        undo.callback(os.close, ours)
        facts = [os.getpid(), theirs, max_memory_bytes or 0, int("LC_CTYPE" in env)]
        try:
            keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", str(KEEPER), *map(str, facts), "--", *arguments],
                stdin=stdin,
                stdout=stdout.write_end,
                stderr=stderr.write_end,
                env=dict(env),
                cwd=folder,
                pass_fds=[theirs, *descriptors],
                start_new_session=True,
            )
        finally:
            os.close(theirs)
        undo.pop_all()
    return Child(keeper, ours, stdout, stderr)
