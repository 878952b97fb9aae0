"""Headcount in a minute: a real server, a real key, the real `sftp`, three days of a company's user lists.

Monday's list creates everybody. Tuesday's changes some, adds a few and leaves some out. Wednesday's was cut short on
its way, and is held: nobody loses access. Then the server stays up for you to try things, until Ctrl-C.

Everything lives in a temporary folder that is removed at the end, and on free ports, so that nothing of yours is
touched. `--once` ends after the reports, with the exit code of Monday's `headcount import wait`.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, NoReturn

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
HEADCOUNT = (sys.executable, "-m", "server")
TENANT = "acme"
START_S = 20.0
STOP_S = 15.0

SSH_CONFIG = """\
Host {tenant}
    HostName 127.0.0.1
    Port {port}
    User {tenant}
    IdentityFile "{folder}/id_ed25519"
    IdentitiesOnly yes
    IdentityAgent none
    ControlPath none
    BatchMode yes
    UserKnownHostsFile "{folder}/known_hosts"
    StrictHostKeyChecking accept-new
    LogLevel ERROR
"""

GO_ON = """
The server keeps running until you press Ctrl-C.

  The page         {http}  (Wednesday's list waits there for a decision)
  signs in with    {token}

From another terminal:

  Send a file      {sftp}
                   sftp> put deploy/demo/wednesday.csv sync_users.csv
  A dry run        sftp> put deploy/demo/tuesday.csv test/sync_users.csv
  The results      sftp> ls results          (a report per import, and its rejected rows ready to be mended)

  The operator's   export HEADCOUNT_DATA_DIR={data}
  commands         {headcount} import list {tenant}
                   {headcount} import approve {tenant}      (yes, these people really left)
                   {headcount} import discard {tenant}      (no, that file was cut short)
                   {headcount} users list {tenant}

  Metrics          {http}/metrics
  The server's log {log}
"""


class Server(NamedTuple):
    """A running server: where it listens and where its things are."""

    sftp_port: int
    http_port: int
    folder: Path

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def headcount(self, *arguments: str) -> int:
        """Run the operator's CLI, shown as it would be typed; the exit code."""
        say("$ " + shlex.join(["headcount", *(arg.replace(str(self.folder), "...") for arg in arguments)]))
        env = environment(self.folder)
        return subprocess.run([*HEADCOUNT, *arguments], cwd=ROOT, env=env, check=False).returncode

    def put(self, file: str) -> None:
        """Send one of the sample files with OpenSSH's client, as an HR system would."""
        say(f"$ sftp {TENANT}", f"sftp> put deploy/demo/{file} sync_users.csv")
        command = ("sftp", "-F", str(self.folder / "ssh_config"), "-b", "-", TENANT)
        put = f'put "{HERE / file}" sync_users.csv\n'
        if subprocess.run(command, input=put, text=True, check=False, stdout=subprocess.DEVNULL).returncode != 0:
            fail(f"the upload of {file} was refused")


def say(*lines: str) -> None:
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(*(f"{bold}{line}{plain}" for line in lines), sep="\n", flush=True)


def title(text: str) -> None:
    say("", f"── {text} ".ljust(100, "─"))


def fail(message: str) -> NoReturn:
    sys.exit(f"demo: {message}")


def environment(folder: Path) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("HEADCOUNT_")}
    return ours | {"HEADCOUNT_DATA_DIR": str(folder / "data"), "PYTHONUNBUFFERED": "1"}


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server on free ports with its data below `folder`; stopped, gently, when the block is left."""
    log = folder / "server.log"
    settings = {"SFTP_HOST": "127.0.0.1", "SFTP_PORT": "0", "HTTP_PORT": "0", "LOG_FORMAT": "json"}
    env = environment(folder) | {f"HEADCOUNT_{name}": value for name, value in settings.items()}
    with log.open("w") as output:
        # A session of its own: Ctrl-C is for us, and we stop the server in order.
        process = subprocess.Popen([*HEADCOUNT, "serve"], cwd=ROOT, env=env, stderr=output, start_new_session=True)
    try:
        sftp_port, http_port = wait_for_ports(process, log)
        yield Server(sftp_port, http_port, folder)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_ports(process: subprocess.Popen[bytes], log: Path) -> tuple[int, int]:
    """The ports from the line the server logs when it is ready."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines():
            facts = listening(line)
            if facts:
                return facts
        time.sleep(0.05)
    fail(f"the server did not start. Its log:\n{log.read_text()}")


def listening(line: str) -> tuple[int, int] | None:
    try:
        facts = json.loads(line)
        return (facts["sftp_port"], facts["http_port"]) if facts["event"] == "listening" else None
    except (ValueError, TypeError, KeyError):
        return None  # another line, or one that is still being written


def make_tenant(server: Server) -> None:
    title("The operator makes a tenant, with the public key the HR department sent")
    key = server.folder / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"hr@{TENANT}", "-f", key], check=True)
    (server.folder / "ssh_config").write_text(
        SSH_CONFIG.format(tenant=TENANT, port=server.sftp_port, folder=server.folder)
    )
    for command in (
        ("tenant", "add", TENANT, "--key", f"{key}.pub"),
        ("tenant", "set", TENANT, "deactivate_missing=true"),
    ):
        if server.headcount(*command) != 0:
            fail("the tenant could not be made")


def show_days(server: Server) -> int:
    """Send the three files and show what became of them; the exit code of Monday's `import wait`."""
    title("Monday: the first list. 42 rows, two of them with a mistake")
    server.put("monday.csv")
    first = server.headcount("import", "wait", TENANT)

    title("Tuesday: some changed, some new, some gone, Monday's mistakes mended and one new")
    server.put("tuesday.csv")
    server.headcount("import", "wait", TENANT)

    title("Wednesday: the export broke off half way. Half the company is missing")
    server.put("wednesday.csv")
    server.headcount("import", "wait", TENANT)
    say("", "Held: nothing was changed, nobody lost access. The owner or the operator approves or discards it.")
    return first


def owners_token(server: Server) -> str:
    """A token for the page, as the operator would make one for the HR department."""
    command = [*HEADCOUNT, "token", "create", TENANT, "--role", "owner", "--comment", "HR"]
    made = subprocess.run(
        command, cwd=ROOT, env=environment(server.folder), check=True, text=True, stdout=subprocess.PIPE
    )
    return made.stdout.strip()


def stay(server: Server) -> None:
    """Tell how to go on, and serve until Ctrl-C."""
    sftp = shlex.join(["sftp", "-F", str(server.folder / "ssh_config"), TENANT])
    program = os.path.relpath(Path(sys.executable).with_name("headcount"), Path.cwd())
    places = {"data": server.folder / "data", "log": server.folder / "server.log", "http": server.http}
    token = owners_token(server)
    title("Go on")
    print(GO_ON.format(sftp=sftp, headcount=program, tenant=TENANT, token=token, **places), flush=True)
    while True:
        signal.pause()


def main() -> int:
    parser = argparse.ArgumentParser(description="Show Headcount at work.")
    parser.add_argument("--once", action="store_true", help="stop after the reports")
    once = parser.parse_args().once
    for program in ("sftp", "ssh-keygen"):
        if shutil.which(program) is None:
            fail(f"{program} is missing: install OpenSSH's client (Debian, Ubuntu: apt install openssh-client)")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="headcount-demo-") as folder, serving(Path(folder)) as server:
        make_tenant(server)
        first = show_days(server)
        if not once:
            stay(server)
        return first


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nStopped; the demo's folder is removed.")
