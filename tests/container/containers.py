"""Run an image as a container engine does: its own process 1, network and mounts, and no privileges.

The root file system is read-only except for /tmp and the volume. The process gets the user, the environment and the
command of the image, and no capabilities.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.clients import client
from tests.support.waiting import DEADLINE_S, wait_until

NO_PRIVILEGES = ("--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs")

SET_UP = """
set -e
root=$1 data=$2 volume=$3; shift 3
ip link set lo up
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount --bind "$data" "$root$volume"
mount -t tmpfs tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
exec chroot "$root" "$@"
"""


@dataclass
class Container:
    """A container of the image with this `config`, whose files are in `root`. `data` is its volume."""

    root: Path
    config: dict[str, Any]
    data: Path
    log: Path
    env: dict[str, str] = field(default_factory=dict)
    _outer: subprocess.Popen[bytes] | None = None
    _begun_at: int = 0

    def start(self) -> None:
        """Start it, and wait until the server is ready."""
        (volume,) = self.config["Volumes"]
        script = ["sh", "-c", SET_UP, "sh", str(self.root), str(self.data), volume]
        command = [*self._as_user(), *self.config["Entrypoint"], *self.config["Cmd"]]
        apart = [client("unshare"), "--mount", "--pid", "--net", "--fork", "--kill-child"]
        self._begun_at = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._outer = subprocess.Popen(
                [*apart, *script, *command], env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(self._listens, what="the container to listen")

    def stop(self) -> int:
        """Send the stop signal of the image to process 1; return its exit code."""
        assert self._outer
        Path(f"/proc/{self.pid}").stat()
        subprocess.run(["kill", f"-{signal.Signals[self.config['StopSignal']].value}", str(self.pid)], check=True)
        return self._outer.wait(DEADLINE_S)

    def end(self) -> None:
        """Kill it if it still runs."""
        if self._outer and self._outer.poll() is None:
            self._outer.kill()
            self._outer.wait()

    @property
    def pid(self) -> int:
        """The process that is process 1 inside, as its number outside."""
        assert self._outer
        outer = self._outer.pid
        return int(Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0])

    def run(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command inside, as `docker exec` does."""
        inside = [client("nsenter"), f"--target={self.pid}", "--mount", "--pid", "--net", "--root", "--wd"]
        return self._run([*inside, *self._as_user(), *command], stdin, self._environment())

    def reach(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a client of this machine in the network of the container."""
        return self._run([client("nsenter"), f"--target={self.pid}", "--net", *command], stdin, None)

    def _run(
        self, command: Sequence[str], stdin: str, env: dict[str, str] | None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, input=stdin, env=env, capture_output=True, text=True, check=False, timeout=2 * DEADLINE_S
        )

    def _as_user(self) -> list[str]:
        user, _, group = self.config["User"].partition(":")
        return ["setpriv", f"--reuid={user}", f"--regid={group}", *NO_PRIVILEGES]

    def _environment(self) -> dict[str, str]:
        given = dict(each.split("=", 1) for each in self.config["Env"])
        # For the commands of SET_UP, which are of this machine.
        return {**given, **self.env, "PATH": f"{given['PATH']}:/usr/sbin:/sbin:/usr/bin:/bin"}

    def _listens(self) -> bool:
        assert self._outer
        text = self.log.read_bytes()[self._begun_at :].decode()
        assert self._outer.poll() is None, text
        return "listening sftp=" in text
