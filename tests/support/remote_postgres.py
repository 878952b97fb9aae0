"""A PostgreSQL server as on a machine of its own: passwords, TLS, and the superuser postgres on its socket only."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from tests.support.clients import postgres_programs
from tests.support.postgres_server import as_postgres, free_port

HOST = "localhost"
"""The name in its certificate."""
ALLOWED = "hostssl headcount,headcount_drill headcount {} scram-sha-256\n"
RULES = "local all all trust\n" + "".join(map(ALLOWED.format, ("127.0.0.1/32", "::1/128")))
"""pgbouncer tries one address of a name only, and which one depends on its version."""
SETTINGS = """
listen_addresses = '127.0.0.1, ::1'
unix_socket_directories = '{folder}'
ssl = on
ssl_cert_file = '{folder}/server.pem'
ssl_key_file = '{folder}/server.key'
max_connections = 60
shared_buffers = 32MB
"""


class RemotePostgres:
    """It runs. `as_superuser` are the variables with which programs of PostgreSQL are its superuser."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self.certificates = folder / "authority.pem"
        self.as_superuser = {"PGHOST": str(folder), "PGPORT": str(port), "PGUSER": "postgres"}


@contextmanager
def remote_postgres() -> Iterator[RemotePostgres]:
    """Yield a new server; it ends with the block."""
    folder, port = Path(tempfile.mkdtemp(prefix="postgres-")), free_port()
    folder.chmod(0o755)  # each user may read the certificate, and connect
    try:
        _certify(folder)
        for each in (folder, *folder.iterdir()):
            if as_postgres():
                shutil.chown(each, "postgres", "postgres")
        _run(folder, "initdb", "-N", "-D", "data", "-U", "postgres", "-E", "SQL_ASCII", "--locale=C")
        (folder / "data" / "pg_hba.conf").write_text(RULES)
        with (folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write(SETTINGS.format(folder=folder))
        _run(folder, "pg_ctl", "start", "-D", f"{folder}/data", "-l", "log", "-w", "-s", "-o", f"-p {port}")
        yield RemotePostgres(folder, port)
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            _run(folder, "pg_ctl", "stop", "-D", "data", "-m", "immediate", "-s")
        shutil.rmtree(folder, ignore_errors=True)


def _certify(folder: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    certificate = authority.issue_cert(HOST)
    certificate.cert_chain_pems[0].write_to_path(folder / "server.pem")
    certificate.private_key_pem.write_to_path(folder / "server.key")
    os.chmod(folder / "server.key", 0o600)


def _run(folder: Path, program: str, *arguments: str) -> None:
    command = [f"{postgres_programs()}/{program}", *arguments]
    nothing = subprocess.DEVNULL
    subprocess.run(command, cwd=folder, stdin=nothing, stdout=nothing, check=True, **as_postgres())
