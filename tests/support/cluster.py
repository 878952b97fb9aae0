"""Several servers on one database of PostgreSQL, as processes of this machine.

with cluster(tmp_path, url, 3) as nodes:
    nodes[0].add_tenant("acme")
    nodes[1].put("acme", people("ann"))
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg

from tests.support.server_process import ServerProcess


class ClusterNode(ServerProcess):
    """One of the servers. All have the same secret, and the clients' keys are in one folder."""

    def __init__(self, folder: Path, shared: Path, env: dict[str, str]) -> None:
        folder.mkdir()
        (folder / "temporary").mkdir()
        super().__init__(folder, env={**env, "TMPDIR": str(folder / "temporary")})
        self._shared = shared

    def state(self, tenant: str, import_id: int) -> str | None:
        query = "SELECT state FROM imports JOIN tenants ON tenants.id = tenant_id WHERE name = %s AND imports.id = %s"
        with psycopg.connect(self.env["HEADCOUNT_DATABASE_URL"]) as db:
            found = db.execute(query, (tenant, import_id)).fetchone()
        return str(found[0]) if found else None

    def private_key(self, tenant: str) -> Path:
        return self._shared / f"{tenant}.key"


def nodes_on(url: str, folder: Path, count: int, **env: str) -> list[ClusterNode]:
    """Return so many servers with their data in the database at `url`. None is started."""
    secret = folder / "secret"
    secret.write_bytes(os.urandom(32))
    secret.chmod(0o600)
    both = {"HEADCOUNT_DATABASE_URL": url, "HEADCOUNT_SECRET_KEY_FILE": str(secret), **env}
    return [ClusterNode(folder / f"node{number}", folder, both) for number in range(count)]


@contextmanager
def cluster(folder: Path, url: str, count: int, **env: str) -> Iterator[list[ClusterNode]]:
    """Start so many servers on the database at `url`; they end with the block."""
    with ExitStack() as stack, ThreadPoolExecutor(count) as threads:
        nodes = nodes_on(url, folder, count, **env)
        for each in nodes:
            stack.callback(each.end)
        list(threads.map(ClusterNode.start, nodes))
        yield nodes
