"""Servers and commands that start in a fraction of the time: forks of a process that has loaded all modules.

Loading these takes most of a start. All else is as after `python -m server serve`: the server is a process of its
own, in its own session. It runs the same module from its first line, and ends or is killed like any other.

The process that forks is the nursery, one for each process of the test run. A server is the child of a process that
only waits for its end.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, TextIO, cast

from tests.support import ROOT, jumping_clock
from tests.support.chosen import EMBEDDED, chosen_engine

ENTRIES = ("server", *(f"tests.support.{name}_server" for name in ("mortal", "narrow", "unslowed")))
"""The modules that a fork can run: they change nothing in the process before `main`."""

PASSED_ON = (
    *("HEADCOUNT_", "PYTEST_", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "POSTGRES", "TMPDIR"),
    *("AWS_", "NARROW_TO", "GATE", "NOTES", "PLACE"),
)
"""The starts of the names of variables that a fork may have and the nursery has not; the last four are of tests and
their hooks. Others, such as LD_PRELOAD, act when a process begins."""

SHOWN_BY = ("TERM", "TZ", "NO_COLOR", "COLUMNS")
"""The starts of the names of variables by which a command chooses how it prints: its fork may have its own, too."""

_MOST_BYTES = 100_000
"""The longest order, in bytes."""


class Forked:
    """A process that a nursery has forked, with those methods of a `subprocess.Popen` that tests use."""

    def __init__(self, notes: socket.socket) -> None:
        self._notes = notes
        self.pid = self._next()
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code (negative: the signal that ended it), or None while it runs."""
        if self.returncode is None and select.select([self._notes], [], [], 0)[0]:
            self._end()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return the exit code. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        if self.returncode is None:
            if not select.select([self._notes], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a server that was forked", timeout or 0)
            self._end()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, sign: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has just ended by itself, and the note of that is on its way
                os.kill(self.pid, sign)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _end(self) -> None:
        self.returncode = self._next()
        self._notes.close()

    def _next(self) -> int:
        return int(self._notes.recv(100))


def start(entry: str, env: Mapping[str, str], log: int) -> subprocess.Popen[str]:
    """Start `python -m ENTRY serve` with this environment and the descriptor `log` as its standard error.

    It is a fork if `entry` and `env` allow that, else a new interpreter. Servers with a clock of `jumping_clock` are
    forks of a nursery that has installed it.
    """
    clock = {name: env[name] for name in (jumping_clock.PLACE,) if name in env}
    if entry in ENTRIES and _base(env) == _base(os.environ) | clock:
        return cast("subprocess.Popen[str]", _fork([entry, "serve"], env, log))
    return start_fresh(entry, env, log)


def ran(arguments: Sequence[str], env: Mapping[str, str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Do as `run`, and wait for the end; return the exit code and all that it printed."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = run(arguments, env, out.fileno(), err.fileno())
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        for each in (out, err):
            each.seek(0)
        return subprocess.CompletedProcess(arguments, code, out.read().decode(), err.read().decode())


def run(arguments: Sequence[str], env: Mapping[str, str], out: int, err: int) -> subprocess.Popen[str]:
    """Start `headcount ARGUMENTS` with this environment, these two descriptors, and nothing to read.

    It is a fork if `env` allows that, as that of `start`.
    """
    if _unshown(env) == _unshown(os.environ):
        return cast("subprocess.Popen[str]", _fork(["server", *arguments], env, err, out))
    program = [sys.executable, "-m", "server", *arguments]
    streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err}
    return subprocess.Popen(program, cwd=ROOT, env=dict(env), text=True, **streams)


def start_fresh(entry: str, env: Mapping[str, str], log: int) -> subprocess.Popen[str]:
    """Do as `start`, always with a new interpreter."""
    assert jumping_clock.PLACE not in env, "a new interpreter would have the real clock"
    program = [sys.executable, "-m", entry, "serve"]
    return subprocess.Popen(program, cwd=ROOT, env=dict(env), stderr=log, text=True, start_new_session=True)


def _base(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if not name.startswith(PASSED_ON)} | {"PYTHONUNBUFFERED": "1"}


def _unshown(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in _base(env).items() if not name.startswith(SHOWN_BY)}


def _fork(command: list[str], env: Mapping[str, str], log: int, *out: int) -> Forked:
    order = json.dumps({"command": command, "env": dict(env)}).encode()
    assert len(order) < _MOST_BYTES, "the environment is too long for a fork"
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    base = _base(os.environ if out else env)
    with theirs:
        socket.send_fds(_nursery(frozenset(base.items())), [order], [theirs.fileno(), log, *out])
    return Forked(ours)


@cache
def _nursery(base: frozenset[tuple[str, str]]) -> socket.socket:
    """Start a nursery with this environment, and return the socket for its orders. It ends with this process."""
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with theirs:
        nursery = subprocess.Popen(
            [sys.executable, "-m", "tests.support.nursery", str(theirs.fileno())],
            cwd=ROOT,
            env=dict(base),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    atexit.register(nursery.wait)
    atexit.register(ours.close)  # before the wait: the last that was registered is the first
    return ours


# Below: what runs in the nursery.


def _take_orders(orders: socket.socket) -> None:
    gc.freeze()  # the forks share more memory
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        order, descriptors, _, _ = socket.recv_fds(orders, _MOST_BYTES, 3)
        if not order:
            return
        if os.fork() == 0:
            orders.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _mind(json.loads(order), *descriptors)
            return
        for each in descriptors:
            os.close(each)


def _mind(order: dict[str, Any], notes: int, log: int, *out: int) -> None:
    """Fork a process, note its id and its exit code, and end; in the fork, return when the server or command ends."""
    pid = os.fork()
    if pid == 0:
        os.close(notes)
        _run(order["command"], order["env"], log, *out)
    os.write(notes, b"%d" % pid)
    for each in (log, *out):
        os.close(each)
    os.write(notes, b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os._exit(0)


def _run(command: list[str], env: dict[str, str], log: int, *out: int) -> NoReturn:
    os.setsid()
    for given, stream in zip((log, *out), (sys.stderr, sys.stdout), strict=False):
        os.dup2(given, stream.fileno())
        os.close(given)
    if out:  # those of the nursery know it as /dev/null
        sys.stdout, sys.stderr = _stream(sys.stdout.fileno()), _stream(sys.stderr.fileno())
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    tempfile.tempdir = None  # the folder of TMPDIR
    sys.path[1:1] = [os.path.abspath(each) for each in env.get("PYTHONPATH", "").split(os.pathsep) if each]
    sys.dont_write_bytecode = bool(env.get("PYTHONDONTWRITEBYTECODE"))
    importlib.invalidate_caches()
    sys.argv = command
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)
    sys.exit()


def _stream(descriptor: int) -> TextIO:
    return io.TextIOWrapper(open(descriptor, "wb", buffering=0, closefd=False), write_through=True)


def prepare() -> None:
    """Load what a server needs, and work out what is the same for all."""
    import server.cli.serve
    from server.web.app import build_app
    from server.web.pages import rendering
    from tests.support import quick_rsa

    if chosen_engine() != EMBEDDED:
        import server.places.database  # noqa: F401 - it is loaded only if the settings ask for it

    rendering.prepare()  # a server does this after its start
    quick_rsa.save_time_on_rsa()
    quick_rsa.host_key()  # made once for all forks
    parts: Any = SimpleNamespace(routes=list)
    build_app(parts, parts)  # what is worked out for the first app serves all later ones


if __name__ == "__main__":
    if place := os.environ.get(jumping_clock.PLACE):
        jumping_clock.install(Path(place))  # before the modules that take it
    prepare()
    with socket.socket(fileno=int(sys.argv[1])) as given:
        _take_orders(given)
