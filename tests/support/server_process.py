"""The real server in its own process: start it, send it files with OpenSSH's sftp, signal it, kill it.

with ServerProcess(tmp_path) as server:
    server.add_tenant("acme", deactivate_missing="true")
    server.put("acme", people("ann"))
    report = server.wait("acme")
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest.mock import patch

import asyncssh
import httpx
from asyncssh.misc import async_context_manager

from importer.folder import TenantFolder
from server.sftp.auth import BUSY
from tests.support.cli import Ran, run_cli
from tests.support.clients import client
from tests.support.installation import installation
from tests.support.nursery import ran, start, start_fresh
from tests.support.waiting import DEADLINE_S, wait_until

START_S = DEADLINE_S
COMMAND_S = 120.0
LOGINS = 6
"""How often a client tries to log in, a second apart. A database on a busy machine may not answer a login in time."""


class ServerProcess:
    """`python -m server serve` on free ports, with its data below a temporary folder. It ends with its context.

    `stored` is what it stores, whichever engine of the run does that; `data` is the folder of the embedded one.
    `entry` is the module to run; `env` is added to the environment. It is a fork of a process that has loaded the
    modules where that makes no difference (`tests.support.nursery`); if `fresh`, it is always a new interpreter.
    """

    def __init__(
        self, folder: Path, *, entry: str = "server", env: Mapping[str, str] | None = None, fresh: bool = False
    ) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "server.log"
        self.entry = entry
        self.env = dict(env or {})
        self.fresh = fresh
        self.process: subprocess.Popen[str] | None = None
        self.sftp_port = self.http_port = 0
        self._begun_at = 0

    @property
    def data(self) -> Path:
        return self._data

    @data.setter
    def data(self, folder: Path) -> None:
        self._data = folder
        self.stored = installation(folder)

    def __enter__(self) -> ServerProcess:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        if kind is not None:
            sys.stderr.write(self.log.read_text() if self.log.exists() else "")

    # The process

    def start(self, **env: str) -> ServerProcess:
        """Start it and wait until it is ready. `env` is for this start only."""
        self.launch(**env)
        ready = wait_until(self._ready_line, START_S, "the server to be ready")
        self.sftp_port, self.http_port = ready["sftp_port"], ready["http_port"]
        return self

    def launch(self, **env: str) -> subprocess.Popen[str]:
        """Start it without waiting: it may die while it starts."""
        self._begun_at = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("a") as log:
            begin = start_fresh if self.fresh else start
            self.process = begin(self.entry, self._environment(env), log.fileno())
        return self.process

    def lines(self) -> list[dict[str, Any]]:
        """Return the log lines since the newest start, parsed."""
        text = self.log.read_bytes()[self._begun_at :].decode()
        return [
            json.loads(line) for line in text.splitlines(keepends=True) if line.startswith("{") and line[-1] == "\n"
        ]

    def events(self) -> list[str]:
        return [line["event"] for line in self.lines()]

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop, and wait; return the exit code."""
        assert self.process
        self.process.send_signal(sign)
        return self.process.wait(START_S)

    def kill(self) -> None:
        """Kill it with SIGKILL, so that it cannot clean up."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Kill the process if it is still running."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def freeze(self) -> None:
        """Stop it with SIGSTOP, until `thaw`."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)
        self.wait_until_frozen()

    def wait_until_frozen(self) -> None:
        """Wait until it has stopped itself with SIGSTOP."""
        assert self.process
        stat = Path(f"/proc/{self.process.pid}/stat")
        wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", START_S, "the server to freeze")

    def thaw(self, *signs: signal.Signals) -> None:
        """Continue it, with these signals pending."""
        assert self.process
        for sign in (*signs, signal.SIGCONT):
            self.process.send_signal(sign)

    def died(self) -> int:
        """Wait until it has ended by itself; return the exit code (negative: the signal that ended it)."""
        assert self.process
        return self.process.wait(START_S)

    # Its operator

    def cli(self, *arguments: str, check: bool = True) -> Ran:
        """Run `headcount ...` on its data folder in this process, which saves a second each time."""
        with patch.dict(os.environ, self._environment({}), clear=True), ThreadPoolExecutor(1) as thread:
            done = thread.submit(run_cli, *arguments).result()
        assert done.code == 0 or not check, f"{arguments}: {done.code}\n{done.text}{done.err}"
        return done

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `headcount ...` on its data folder in its own process."""
        return ran(arguments, self._environment({}), COMMAND_S)

    def add_tenant(self, name: str, **settings: str) -> None:
        """Add a tenant with its own key and these settings."""
        self.cli("tenant", "add", name, "--key", str(self.make_key(name)))
        if settings:
            self.cli("tenant", "set", name, *(f"{key}={value}" for key, value in settings.items()))

    def make_key(self, tenant: str) -> Path:
        """Create the key with which clients of `tenant` log in; return the file of its public key."""
        key = asyncssh.generate_private_key("ssh-ed25519")
        private = self.private_key(tenant)
        private.write_bytes(key.export_private_key())
        private.chmod(0o600)
        public = private.with_suffix(".pub")
        public.write_bytes(key.export_public_key())
        return public

    def report(self, tenant: str, import_id: int | None = None) -> Any:
        """Return the report of an import (default: the newest), as JSON."""
        return self.cli("import", "show", tenant, *_id(import_id), "--json").json

    def wait(self, tenant: str, import_id: int | None = None) -> Any:
        """Wait until an import (default: the newest) has ended in any way; return its report."""
        return self.cli("import", "wait", tenant, *_id(import_id), "--json", check=False).json

    def state(self, tenant: str, import_id: int) -> str | None:
        """Read an import's state quickly; None if there is no such import."""
        return self.stored.state(tenant, import_id)

    def reaches(self, tenant: str, import_id: int, *states: str) -> str:
        """Wait until an import is in one of `states`."""
        wait_until(lambda: self.state(tenant, import_id) in states, START_S, f"import {import_id} to be {states}")
        found = self.state(tenant, import_id)
        assert found
        return found

    def runs(self, tenant: str) -> list[dict[str, Any]]:
        """Read the runs of a tenant's hooks quickly, with all columns, the oldest upload first."""
        return self.stored.runs(tenant)

    def result(self, tenant: str, import_id: int) -> Any:
        """Return the report in /results; None if there is none."""
        content = self.stored.visible(tenant, f"/results/sync_users-{import_id}.json")
        return None if content is None else json.loads(content)

    def files(self, tenant: str) -> TenantFolder:
        """Return the folder of a tenant, for tests of the engine that has one."""
        return self.stored.folder(tenant)

    def users(self, tenant: str) -> dict[str, str]:
        """Return the state of all users of a tenant, by email address."""
        return self.stored.users(tenant)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.http_port}{path}", headers=headers, timeout=DEADLINE_S)

    # Its clients

    def put(self, tenant: str, content: bytes, path: str = "/sync_users.csv") -> None:
        """Send a file with OpenSSH's sftp; the server has acknowledged it when this returns."""
        local = self.folder / f"{tenant}.upload"
        local.write_bytes(content)
        done = self.sftp(tenant, f'put "{local}" "{path}"')
        assert done.returncode == 0, done.stderr

    def sftp(self, tenant: str, *commands: str, logins: int = LOGINS) -> subprocess.CompletedProcess[str]:
        """Run a batch of commands in OpenSSH's sftp, with up to so many `logins` if the server is busy."""
        batch = "".join(f"{command}\n" for command in commands)
        for left in reversed(range(logins)):
            done = subprocess.run(
                [client("sftp"), *self.options(tenant), "-b", "-", f"{tenant}@127.0.0.1"],
                input=batch,
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            if BUSY not in done.stderr or not left:
                return done
            time.sleep(1)
        raise AssertionError("no login")

    def options(self, tenant: str) -> Sequence[str]:
        """Return the options of OpenSSH's clients to log in as `tenant`."""
        settings = {
            "Port": self.sftp_port,
            "IdentityFile": self.private_key(tenant),
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "BatchMode": "yes",
            "ControlPath": "none",
            "UserKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "no",
            "LogLevel": "ERROR",
        }
        return ["-F", "/dev/null", *(part for name, value in settings.items() for part in ("-o", f"{name}={value}"))]

    def connect(self, tenant: str) -> Any:
        """Return a client of asyncssh: `async with server.connect("acme") as connection`. It tries as `sftp` does."""
        return async_context_manager(self._connected)(tenant)

    async def _connected(self, tenant: str) -> asyncssh.SSHClientConnection:
        for left in reversed(range(LOGINS)):
            try:
                return await asyncssh.connect(
                    "127.0.0.1",
                    self.sftp_port,
                    username=tenant,
                    client_keys=[str(self.private_key(tenant))],
                    known_hosts=None,
                    config=None,
                )
            except asyncssh.DisconnectError as error:
                if BUSY not in error.reason or not left:
                    raise
            await asyncio.sleep(1)
        raise AssertionError("no login")

    # Helpers

    def private_key(self, tenant: str) -> Path:
        """Return the path of the private key with which clients of `tenant` log in."""
        return self.folder / f"{tenant}.key"

    def _ready_line(self) -> dict[str, Any] | None:
        assert self.process
        ended = self.process.poll() is not None
        ready = next((line for line in self.lines() if line["event"] == "listening"), None)
        # A server that a test kills early may be ready for a moment only.
        assert ready or not ended, f"the server ended:\n{self.log.read_text()}"
        return ready

    def _environment(self, env: Mapping[str, str]) -> dict[str, str]:
        outside = {name: value for name, value in os.environ.items() if not name.startswith("HEADCOUNT_")}
        given = {
            **self.stored.environment(),
            "HEADCOUNT_SFTP_HOST": "127.0.0.1",
            "HEADCOUNT_SFTP_PORT": "0",
            "HEADCOUNT_HTTP_PORT": "0",
            "HEADCOUNT_LOG_FORMAT": "json",
            "PYTHONUNBUFFERED": "1",
        }
        return {**outside, **given, **self.env, **env}


def _id(import_id: int | None) -> list[str]:
    return [] if import_id is None else [str(import_id)]


def copied(before: Path, to: Path) -> Path:
    """Copy the folder of a server that does not run, with what it stores; return the copy."""
    shutil.copytree(before, to)
    installation(before / "data").copy_to(to / "data")
    return to
