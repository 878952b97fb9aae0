"""The two servers that are compared, each in its own process on a free port, and OpenSSH's client for both.

Headcount is `python -m server serve` with default settings; the peer is OpenSSH's sshd with its internal-sftp.
"""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.child import ROOT

T = TypeVar("T")
TENANT, NEIGHBOR = "acme", "globex"
PROGRAM = [sys.executable, "-m", "server"]
START_S = 300.0
STOP_S = 20.0
CHILDREN_S = 2.0

SSH_CONFIG = """\
Host {name}
    HostName 127.0.0.1
    Port {port}
    User {user}
    IdentityFile "{key}"
    IdentitiesOnly yes
    IdentityAgent none
    ControlPath none
    BatchMode yes
    UserKnownHostsFile /dev/null
    StrictHostKeyChecking no
    LogLevel ERROR
"""
SSHD_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
MaxStartups 100
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server and its addresses. `home` is the prefix of the client's paths on the server.

    `http` is the base URL of Headcount's pages and API, and `token` an operator's token.
    """

    name: str
    process: subprocess.Popen[bytes]
    port: int
    folder: Path
    home: str
    http: str = ""
    token: str = ""
    begun: float = 0.0
    """The start of the process, by `time.monotonic()`."""

    def sftp(self, *commands: str) -> float:
        """Run OpenSSH's client with these commands; return its seconds in all. Raises if a command fails."""
        command = ["sftp", "-q", "-F", str(self.folder / "ssh_config"), "-b", "-", self.name]
        start = time.perf_counter()
        subprocess.run(command, input="\n".join(commands).encode(), stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - start


def cpu_s(server: Server) -> float:
    """Return the processor time of the server's process until now, and of its children that have ended."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    deadline = time.monotonic() + CHILDREN_S
    while children.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def until(
    condition: Callable[[], T | None], process: subprocess.Popen[bytes], deadline_s: float, every_s: float
) -> T:
    """Return the first true answer of `condition`. Raises TimeoutError after `deadline_s`, or if `process` ends."""
    deadline = time.monotonic() + deadline_s
    while time.monotonic() < deadline and process.poll() is None:
        found = condition()
        if found:
            return found
        time.sleep(every_s)
    raise TimeoutError(f"{process.args!r} ended, or was not ready in {deadline_s:g} s")


@contextmanager
def stopping(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def keygen(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@contextmanager
def headcount(
    folder: Path,
    tenants: tuple[str, ...] = (TENANT, NEIGHBOR),
    *,
    watched: bool = False,
    env: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run Headcount with tenants that have the same key; the server's client logs in as the first one.

    `watched`: long steps of its event loop are written to `held.jsonl` (see `benchmarks.watched`). `env` is added to
    the environment.
    """
    folder.mkdir()
    key = keygen(folder / "key")
    for tenant in tenants:
        command(folder, "tenant", "add", tenant, "--key", f"{key}.pub", env=env)
    with at_work(folder, tenants, watched=watched, env=env) as server:
        yield server


@contextmanager
def at_work(
    folder: Path,
    tenants: tuple[str, ...] = (TENANT, NEIGHBOR),
    *,
    watched: bool = False,
    env: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run Headcount on the data in `folder`, which `headcount` made; yield it when it listens."""
    token = command(folder, "token", "create", "--operator", env=env)
    log = folder / "server.log"
    begun = time.monotonic()
    with log.open("w") as output:
        program = [sys.executable, "-m", "benchmarks.watched", str(folder / "held.jsonl")] if watched else PROGRAM
        process = subprocess.Popen(
            [*program, "serve"], cwd=ROOT, env=_environment(folder) | dict(env or {}), stderr=output
        )
    with stopping(process):
        port, http_port = until(lambda: _listening(log), process, START_S, 0.05)
        _write_config(folder, port, {tenant: tenant for tenant in tenants})
        yield Server(tenants[0], process, port, folder, "", f"http://127.0.0.1:{http_port}", token, begun)


def command(folder: Path, *words: str, env: Mapping[str, str] | None = None) -> str:
    """Run `headcount` with these words; return its output."""
    program, environment = [*PROGRAM, *words], _environment(folder) | dict(env or {})
    done = subprocess.run(program, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def _environment(folder: Path) -> dict[str, str]:
    other = {name: value for name, value in os.environ.items() if not name.startswith("HEADCOUNT_")}
    settings = {
        "DATA_DIR": folder / "data",
        "SFTP_HOST": "127.0.0.1",
        "SFTP_PORT": 0,
        "HTTP_PORT": 0,
        "LOG_FORMAT": "json",
    }
    return other | {f"HEADCOUNT_{name}": str(value) for name, value in settings.items()}


def _listening(log: Path) -> tuple[int, int] | None:
    for line in log.read_text().splitlines():
        if '"listening"' in line and line.endswith("}"):
            ports = json.loads(line)
            return int(ports["sftp_port"]), int(ports["http_port"])
    return None


@contextmanager
def openssh(folder: Path) -> Iterator[Server]:
    """Run OpenSSH's server for the system user that runs the benchmark."""
    folder.mkdir()
    (folder / "home").mkdir()
    keygen(folder / "host_key")
    keygen(folder / "key")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = folder / "sshd_config"
    config.write_text(SSHD_CONFIG.format(port=port, folder=folder))
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd needs it as its root without privileges
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if sshd is None:
        raise LookupError("the measurement needs OpenSSH's server (sshd) for comparison: apt install openssh-server")
    with (folder / "sshd.log").open("w") as output:
        process = subprocess.Popen([sshd, "-D", "-e", "-f", config], stderr=output)
    with stopping(process):
        until(lambda: _answers(port), process, START_S, 0.05)
        _write_config(folder, port, {"openssh": getpass.getuser()})
        yield Server("openssh", process, port, folder, f"{folder}/home/")


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _write_config(folder: Path, port: int, users: dict[str, str]) -> None:
    hosts = (SSH_CONFIG.format(name=name, port=port, user=user, key=folder / "key") for name, user in users.items())
    (folder / "ssh_config").write_text("".join(hosts))
