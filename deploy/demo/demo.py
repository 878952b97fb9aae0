"""Headcount in a minute: a real server, a real key, the real `sftp`, and three days of a company's user lists.

Monday's list creates all users. Tuesday's list changes, adds and leaves out some users. Wednesday's file was cut
short, so it is held and deactivates no user. Then the server keeps running until Ctrl-C, so that you can use it.

All files are in a temporary folder that is removed at the end, and the server uses free ports. Nothing else on the
machine is changed. `--once` ends after the reports, with the exit code of Monday's `headcount import wait`.
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
START_S = 60.0
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

  Page             {http}  (Wednesday's import is held there: approve or discard it)
  Token            {token}  (to sign in)

In another terminal:

  Send a file      {sftp}
                   sftp> put deploy/demo/wednesday.csv sync_users.csv
  Dry run          sftp> put deploy/demo/tuesday.csv test/sync_users.csv
  Results          sftp> ls results          (the report of each import, and its rejected rows to fix)

  Operator's       export HEADCOUNT_DATA_DIR={data}
  commands         {headcount} import list {tenant}
                   {headcount} import approve {tenant}      (these people have left)
                   {headcount} import discard {tenant}      (the file was cut short)
                   {headcount} users list {tenant}

  Metrics          {http}/metrics
  Server log       {log}
"""


class Server(NamedTuple):
    """A running server: its ports and its folder."""

    sftp_port: int
    http_port: int
    folder: Path

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def headcount(self, *arguments: str) -> int:
        """Print and run a command of the operator; return its exit code."""
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
    other = {name: value for name, value in os.environ.items() if not name.startswith("HEADCOUNT_")}
    return other | {"HEADCOUNT_DATA_DIR": str(folder / "data"), "PYTHONUNBUFFERED": "1"}


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Run a server on free ports with its data below `folder`; stop it in order at the end of the block."""
    log = folder / "server.log"
    settings = {"SFTP_HOST": "127.0.0.1", "SFTP_PORT": "0", "HTTP_PORT": "0", "LOG_FORMAT": "json"}
    env = environment(folder) | {f"HEADCOUNT_{name}": value for name, value in settings.items()}
    with log.open("w") as output:
        # Its own session: Ctrl-C reaches only this process, which then stops the server in order.
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
    """Return the ports from the line that the server logs when it is ready."""
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
        return None  # another line, or an incomplete one


def make_tenant(server: Server) -> None:
    title("The operator adds a tenant with the public key of the HR department")
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
            fail("the tenant could not be added")


def show_days(server: Server) -> int:
    """Send the three files and show their reports; return the exit code of Monday's `import wait`."""
    title("Monday: the first list has 42 rows, 2 of them with a mistake")
    server.put("monday.csv")
    first = server.headcount("import", "wait", TENANT)

    title("Tuesday: users are changed, added and left out; Monday's mistakes are fixed, and there is a new one")
    server.put("tuesday.csv")
    server.headcount("import", "wait", TENANT)

    title("Wednesday: the export was interrupted, and half of the users are not in the file")
    server.put("wednesday.csv")
    server.headcount("import", "wait", TENANT)
    say("", "Held: no user was changed or deactivated. The owner or the operator approves or discards the import.")
    return first


def owners_token(server: Server) -> str:
    """Return a token for the page, as the operator creates it for the HR department."""
    command = [*HEADCOUNT, "token", "create", TENANT, "--role", "owner", "--comment", "HR"]
    made = subprocess.run(
        command, cwd=ROOT, env=environment(server.folder), check=True, text=True, stdout=subprocess.PIPE
    )
    return made.stdout.strip()


def stay(server: Server) -> None:
    """Print the next steps, and serve until Ctrl-C."""
    sftp = shlex.join(["sftp", "-F", str(server.folder / "ssh_config"), TENANT])
    program = os.path.relpath(Path(sys.executable).with_name("headcount"), Path.cwd())
    places = {"data": server.folder / "data", "log": server.folder / "server.log", "http": server.http}
    token = owners_token(server)
    title("Next steps")
    print(GO_ON.format(sftp=sftp, headcount=program, tenant=TENANT, token=token, **places), flush=True)
    while True:
        signal.pause()


def main() -> int:
    parser = argparse.ArgumentParser(description="Demonstrate Headcount.")
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
        print("\nStopped. The demo's folder was removed.")
