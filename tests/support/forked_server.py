"""The server, started in a fraction of the time: each start is a fork of a process that has loaded its modules.

Loading them takes most of a start. Everything else is as in `ServerProcess`, also a kill: the server is a process of
its own. Run as a module, this is the process that forks; it writes notes of the phases of runs of hooks.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from typing import Any, cast

from server.__main__ import main
from tests.support import ROOT
from tests.support.mortal_server import RUN_PHASES, take_notes
from tests.support.notes import processes_of
from tests.support.nursery import prepare
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until


class Forked:
    """A process that another one has forked, with those methods of a `subprocess.Popen` that tests use."""

    def __init__(self, parent: subprocess.Popen[str]) -> None:
        assert parent.stdin
        parent.stdin.write("start\n")
        parent.stdin.flush()
        self._parent = parent
        self.pid = int(self._line())
        self._code: int | None = None

    def poll(self) -> int | None:
        ended = self._code is not None or select.select([self._parent.stdout], [], [], 0)[0]
        return self.wait() if ended else None

    def wait(self, timeout: float | None = None) -> int:
        if self._code is None:
            self._code = int(self._line())
        return self._code

    def send_signal(self, sign: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sign)

    def kill(self) -> None:
        self.send_signal(9)

    def _line(self) -> str:
        assert self._parent.stdout
        return self._parent.stdout.readline()


class ForkedServer(ServerProcess):
    """A `ServerProcess` for many starts. Its environment is the same at each of them."""

    _parent: subprocess.Popen[str] | None = None

    def launch(self, **env: str) -> subprocess.Popen[str]:
        assert not env, "a fork has the environment of its parent"
        self._begun_at = self.log.stat().st_size if self.log.exists() else 0
        self.process = cast("subprocess.Popen[str]", Forked(self._loaded()))
        return self.process

    def kill(self) -> None:
        """Kill it with SIGKILL, and wait for the end of the processes that it started."""
        super().kill()
        assert self._parent
        only = [self._parent.pid]
        wait_until(lambda: processes_of(self.folder) == only, what="the processes of hooks to end with the server")

    def end(self) -> None:
        """Kill the server, and end the process that forks."""
        super().end()
        if self._parent:
            self._parent.communicate()

    def _loaded(self) -> subprocess.Popen[str]:
        if self._parent is None:
            program: list[Any] = [sys.executable, "-m", "tests.support.forked_server"]
            with self.log.open("a") as log:
                self._parent = subprocess.Popen(
                    program,
                    cwd=ROOT,
                    env=self._environment({}),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    start_new_session=True,
                )
        return self._parent


def serve_again_and_again() -> None:
    """Fork a server for each line of standard input; write its process id, and its exit code when it has ended."""
    while sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            _serve()
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _serve() -> None:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1):
        os.dup2(nothing, fd)
    sys.argv = ["headcount", "serve"]
    main()


if __name__ == "__main__":
    prepare()
    take_notes(os.environ["HEADCOUNT_TEST_NOTES"], RUN_PHASES)
    serve_again_and_again()
