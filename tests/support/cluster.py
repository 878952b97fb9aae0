"""Several servers on one database of PostgreSQL, as processes of this machine.

with cluster(tmp_path, url, 3) as nodes:
    nodes[0].add_tenant("acme")
    nodes[1].put("acme", people("ann"))
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psycopg

from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S

LOOPBACK = "127.0.0.1"

_numbers = itertools.count()


class ClusterNode(ServerProcess):
    """One of the servers. All have the same secret, and the clients' keys are in one folder."""

    def __init__(self, folder: Path, shared: Path, env: Mapping[str, str], host: str = LOOPBACK) -> None:
        folder.mkdir()
        (folder / "temporary").mkdir()
        own = {} if host == LOOPBACK else at_host(host)
        super().__init__(folder, env={**env, **own, "TMPDIR": str(folder / "temporary")})
        self.host = host
        self._shared = shared

    def state(self, tenant: str, import_id: int) -> str | None:
        query = "SELECT state FROM imports JOIN tenants ON tenants.id = tenant_id WHERE name = %s AND imports.id = %s"
        with psycopg.connect(self.env["HEADCOUNT_DATABASE_URL"]) as db:
            found = db.execute(query, (tenant, import_id)).fetchone()
        return str(found[0]) if found else None

    def private_key(self, tenant: str) -> Path:
        return self._shared / f"{tenant}.key"

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(f"http://{self.host}:{self.http_port}{path}", headers=headers, timeout=DEADLINE_S)


def own_addresses(count: int) -> list[str]:
    """Return addresses of this machine for so many servers of this process, so that their ports may be fixed."""
    middle, low = (os.getpid() >> bits & 255 for bits in (8, 0))
    return [f"127.{100 + next(_numbers) % 100}.{middle}.{low}" for _ in range(count)]


def at_host(host: str) -> dict[str, str]:
    """Return the settings of a server with an address of its own, and the ports as they come."""
    return {
        "HEADCOUNT_SFTP_HOST": host,
        "HEADCOUNT_SFTP_PORT": "2222",
        "HEADCOUNT_HTTP_HOST": host,
        "HEADCOUNT_HTTP_PORT": "8080",
    }


def nodes_on(url: str, folder: Path, count: int, hosts: Sequence[str] = (), **env: str) -> list[ClusterNode]:
    """Return so many servers with their data in the database at `url`. None is started.

    With `hosts`, each has one of these addresses for itself.
    """
    secret = folder / "secret"
    secret.write_bytes(os.urandom(32))
    secret.chmod(0o600)
    both = {"HEADCOUNT_DATABASE_URL": url, "HEADCOUNT_SECRET_KEY_FILE": str(secret), **env}
    places = hosts or [LOOPBACK] * count
    return [ClusterNode(folder / f"node{number}", folder, both, host) for number, host in enumerate(places)]


@contextmanager
def cluster(folder: Path, url: str, count: int, hosts: Sequence[str] = (), **env: str) -> Iterator[list[ClusterNode]]:
    """Start the servers that `nodes_on` returns; they end with the block."""
    with ExitStack() as stack, ThreadPoolExecutor(count) as threads:
        nodes = nodes_on(url, folder, count, hosts, **env)
        for each in nodes:
            stack.callback(each.end)
        list(threads.map(ClusterNode.start, nodes))
        yield nodes
