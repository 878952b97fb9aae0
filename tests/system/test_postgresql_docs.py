"""The commands of docs/postgresql.md set up, back up, restore and reseal a database, run letter by letter."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh
import httpx
import pytest

from tests.support import ROOT
from tests.support.clients import POSTGRES, client, needs
from tests.support.doctoring import SCRIPT
from tests.support.importing import people
from tests.support.postgres_server import as_postgres, free_port
from tests.support.remote_postgres import HOST, RemotePostgres, remote_postgres
from tests.support.server_process import ServerProcess
from tests.support.steps import section, steps
from tests.support.waiting import wait_until

pytestmark = needs(POSTGRES, "pgbouncer", "sftp")

PAGE = (ROOT / "docs" / "postgresql.md").read_text(encoding="utf-8")
OF_SYSTEM = ("apt-get ", "/opt/headcount/bin/pip ", "cp deploy/", "systemctl ", "timeout ")
"""Beginnings of lines that change the system. The test starts and stops the server itself."""
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
PASSWORD = "0123456789abcdef" * 3


def commands(heading: str) -> dict[str, str]:
    """Return the blocks of commands below a heading, by the bold words that introduce them; "" is one without."""
    found: dict[str, str] = {}
    title = ""
    for line in section(PAGE, heading).splitlines():
        if bold := re.match(r"\*\*(.+?)\.?\*\*", line):
            title = bold[1]
        elif line.startswith("    ") and not line[4:].startswith(OF_SYSTEM):
            found[title] = f"{found.get(title, '')}{line[4:]}\n"
    return found


SET_UP, BACKUP, RESEAL = commands("Set up"), commands("Backup"), commands("Change the secret")[""]
SHELL = SET_UP["Let commands have the same settings"]


class Operator:
    """Runs commands of the page in `folder`, in place of /etc/headcount and /mnt/backup, as this user."""

    def __init__(self, postgres: RemotePostgres, folder: Path) -> None:
        self.folder = folder
        self.postgres = postgres
        programs = folder / "bin"
        programs.mkdir()
        (programs / "headcount").write_text(SCRIPT)
        (programs / "headcount").chmod(0o700)
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("HEADCOUNT_", "PG"))}
        self.env = {**outside, "PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(folder)}

    def run(self, script: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run commands in a new shell. The page's prompts get the password."""
        superuser = " ".join(f"{name}={value}" for name, value in self.postgres.as_superuser.items())
        for there, here in (
            ("sudo -u postgres ", f"env {superuser} "),
            (r"sudo --preserve-env=[A-Z_,]+ -u headcount ", "env "),
            ("-o headcount ", ""),
            (CERTIFICATES, str(self.postgres.certificates)),
            ("/etc/headcount", str(self.folder / "etc")),
            ("/mnt/backup", str(self.folder / "backup")),
            ("db.example.com:5432", f"{HOST}:{self.postgres.port}"),
            ("db.example.com/", f"{HOST}:{self.postgres.port}/"),
        ):
            script = re.sub(there, here, script)
        return self._run(script, check=check)

    def command(self, script: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run commands in a shell with the settings of the page."""
        return self.run(f"{SHELL}\n{script}", check=check)

    def settings(self) -> dict[str, str]:
        """Return the settings of the service."""
        lines = (self.folder / "etc" / "headcount.env").read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines if line.startswith("HEADCOUNT_"))

    def _run(self, script: str, *, check: bool) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=ROOT, env=self.env, input=f"{PASSWORD}\n{PASSWORD}\n", capture_output=True, text=True, check=False,
            timeout=240, start_new_session=True,  # without a terminal, createuser reads the password from stdin
        )  # fmt: skip
        assert done.returncode == 0 or not check, f"{script}\n{done.stdout}\n{done.stderr}"
        return done


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator who has done all of "Set up" but the start of the server."""
    with remote_postgres() as postgres:
        found = Operator(postgres, tmp_path_factory.mktemp("operator"))
        for title, script in SET_UP.items():
            if title != "Start":
                found.run(script)
        yield found


@pytest.fixture(scope="module")
def set_up(operator: Operator) -> Iterator[ServerProcess]:
    """The server with the settings of the page, which has run with the commands of "Start" and one import."""
    (operator.folder / "temporary").mkdir()
    settings = {name: operator.settings()[name] for name in ("HEADCOUNT_DATABASE_URL", "HEADCOUNT_SECRET_KEY_FILE")}
    found = ServerProcess(operator.folder, env={**settings, "TMPDIR": str(operator.folder / "temporary")})
    with found:
        found.make_key("acme").rename(operator.folder / "etc" / "acme.pub")
        operator.command(SET_UP["Start"])
        found.put("acme", people("ann", "bob"))
        assert found.wait("acme")["counts"]["created"] == 2
        yield found


@pytest.fixture
def server(set_up: ServerProcess) -> ServerProcess:
    """The server, which runs."""
    assert set_up.process
    return set_up.start() if set_up.process.poll() is not None else set_up


async def host_key(server: ServerProcess) -> bytes:
    key = await asyncssh.get_server_host_key("127.0.0.1", server.sftp_port)
    assert key
    return key.public_data


def users(server: ServerProcess) -> list[str]:
    return sorted(each["email"].partition("@")[0] for each in server.cli("users", "list", "acme", "--json").json)


def test_a_database_that_the_page_set_up_is_backed_up_and_restored(operator: Operator, server: ServerProcess) -> None:
    token = server.cli("token", "create", "acme", "--role", "owner").text.strip()
    form, ours = f"http://127.0.0.1:{server.http_port}/sign-in", {"sec-fetch-site": "same-origin"}
    cookies = httpx.post(form, data={"token": token}, headers=ours).cookies
    assert status_of_page(server, cookies) == 200
    operator.command(BACKUP["A dump"])
    server.put("acme", people("ann", "bob", "carl"))
    assert server.wait("acme")["counts"]["created"] == 1
    drill = operator.command(BACKUP["A drill"])
    assert "Found well: the database headcount_drill" in drill.stdout
    assert "acme" in drill.stdout
    assert server.stop() == 0
    assert "Found well" in operator.command(BACKUP["Restore"]).stdout
    server.start()
    assert users(server) == ["ann", "bob"]
    assert status_of_page(server, cookies) == 303, "the dump has the sign-in"
    server.put("acme", people("ann", "dora"))
    assert server.wait("acme", 2)["counts"]["created"] == 1
    assert server.stop() == 0


def status_of_page(server: ServerProcess, cookies: httpx.Cookies) -> int:
    """Return the status of a page: 303 leads to the sign-in."""
    return httpx.get(f"http://127.0.0.1:{server.http_port}/tenants/acme/imports", cookies=cookies).status_code


async def test_a_secret_is_changed_and_the_host_keys_stay(operator: Operator, server: ServerProcess) -> None:
    before = (operator.folder / "etc" / "secret.key").read_bytes()
    known = await host_key(server)
    running = operator.command(RESEAL, check=False)
    assert (running.returncode, "Stop all servers first" in running.stderr) == (1, True)
    assert server.stop() == 0
    operator.command(RESEAL)
    assert (operator.folder / "etc" / "secret.old").read_bytes() == before
    server.start()
    assert await host_key(server) == known
    assert server.stop() == 0


def test_no_log_and_no_list_of_processes_has_the_password(operator: Operator, server: ServerProcess) -> None:
    running = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '"
    (operator.folder / "bin" / "psql").write_text(f'#!/bin/sh\n{running}; exec {client("psql")} "$@"\n')
    (operator.folder / "bin" / "psql").chmod(0o700)
    assert "headcount@localhost" in (ran := operator.command("").stdout)
    assert PASSWORD not in ran
    assert PASSWORD not in server.log.read_text(encoding="utf-8")


def test_a_server_behind_the_pgbouncer_of_the_page_imports_a_file(
    operator: Operator, server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.stop() == 0
    with pgbouncer(operator) as url:
        monkeypatch.setitem(server.env, "HEADCOUNT_DATABASE_URL", url)
        server.start()
        server.add_tenant("bolt")
        server.put("bolt", people("ann"))
        assert server.wait("bolt")["counts"]["created"] == 1
        assert server.stop() == 0


@contextmanager
def pgbouncer(operator: Operator) -> Iterator[str]:
    """Run pgbouncer with the lines of the page, and those that each one needs; yield the URL of the database."""
    home, port = Path(operator.postgres.as_superuser["PGHOST"], "between"), free_port()
    (lines,) = (step.content for step in steps(section(PAGE, "pgbouncer")))
    lines = lines.replace("host=db.example.com port=5432", f"host={HOST} port={operator.postgres.port}")
    lines = lines.replace(CERTIFICATES, str(operator.postgres.certificates))
    home.mkdir()
    (home / "users").write_text(f'"headcount" "{PASSWORD}"\n')
    (home / "log").touch()
    own = f"auth_type = scram-sha-256\nauth_file = {home}/users\nlogfile = {home}/log\nunix_socket_dir =\n"
    (home / "ini").write_text(f"{lines}listen_addr = 127.0.0.1\nlisten_port = {port}\n{own}")
    for each in (home, *home.iterdir()):
        if as_postgres():
            shutil.chown(each, "postgres")
    process = subprocess.Popen([client("pgbouncer"), "-q", home / "ini"], cwd=home, **as_postgres())
    try:
        wait_until(lambda: "process up" in (home / "log").read_text(), what="pgbouncer to start")
        yield f"postgresql://headcount:{PASSWORD}@127.0.0.1:{port}/headcount"
    finally:
        process.kill()
        process.wait()
