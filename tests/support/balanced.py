"""Three real servers on one database, behind the HAProxy that deploy/haproxy-nodes.cfg configures.

with balanced(tmp_path, url) as house:
    house.add_tenant("acme")
    house.put("acme", people("ann"))  # one of the servers takes it
    house.nodes[0].kill()
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.clients import client
from tests.support.cluster import ClusterNode, cluster, own_addresses
from tests.support.proxies import DEPLOY, HOST, NAME, Certificates, certificates, free_ports, listening, replaced
from tests.support.waiting import DEADLINE_S, eventually, wait_until

FILE = "haproxy-nodes.cfg"
COUNT = 3
"""The servers that the file names."""
SFTP, WEB = "sftp", "headcount"
"""Its groups of servers."""
CHECKS = "inter 1s fall 3 rise 2"
"""The checks of the file."""
QUICK = "inter 100ms fall 3 rise 1"
"""The checks of games with more faults than life has."""
RUNNING = "2"
"""The state of a server that gets connections: `srv_op_state` of HAProxy."""


class Balanced(ClusterNode):
    """HAProxy, which clients reach, and the commands. It is not a server, but has `nodes`."""

    def __init__(self, folder: Path, nodes: list[ClusterNode], ports: list[int], made: Certificates) -> None:
        super().__init__(folder / "outside", folder, nodes[0].env)
        self.nodes = nodes
        self.admin = Path(tempfile.mkdtemp(prefix="haproxy-")) / "admin.sock"  # short enough for a socket
        self._trust = made.trust
        self.sftp_port, self.http_port, self.plain_port = ports

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.http_port}"

    def client(self, **headers: str) -> httpx.Client:
        """Return a client of the pages and the API."""
        return httpx.Client(base_url=self.url, verify=self._trust, headers=headers, timeout=DEADLINE_S)

    def async_client(self, **headers: str) -> httpx.AsyncClient:
        """Do as `client`, for tests with an event loop."""
        return httpx.AsyncClient(base_url=self.url, verify=self._trust, headers=headers, timeout=DEADLINE_S)

    def get(self, path: str, **headers: str) -> httpx.Response:
        with self.client() as asking:
            return asking.get(path, headers=headers)

    def taken(self, group: str = SFTP) -> set[int]:
        """Return the numbers of the servers that get connections; none before HAProxy listens."""
        with socket.socket(socket.AF_UNIX) as asking, asking.makefile() as answer:
            if asking.connect_ex(str(self.admin)):
                return set()
            asking.sendall(f"show servers state {group}\n".encode())
            rows = [line.split() for line in answer if line.strip() and line[0].isdigit() and " " in line.strip()]
        return {int(name.removeprefix("node")) - 1 for _, _, _, name, _, state, *_ in rows if state == RUNNING}

    def wait_taken(self, *numbers: int) -> None:
        """Wait until just these servers get connections of either kind."""
        wait_until(lambda: self.taken(SFTP) == self.taken(WEB) == {*numbers}, what=f"the servers to be {numbers}")

    async def one_on_each(self, tenant: str, stack: AsyncExitStack) -> list[Any]:
        """Connect by SFTP to each server, through HAProxy; return the connections in the order of the nodes."""
        found: dict[int, Any] = {}
        while len(found) < len(self.nodes):
            before = self.logins()
            connection = await self.connect(tenant)
            await eventually(lambda: self.logins() != before, what="the line of the log")  # noqa: B023 - used at once
            (number,) = self.logins() - before
            if number in found:
                connection.close()
                await connection.wait_closed()
            else:
                found[number] = await stack.enter_async_context(connection)
        return [found[number] for number in range(len(self.nodes))]

    def logins(self) -> Counter[int]:
        """Return how many logins each server has had since its newest start."""
        return Counter({number: node.events().count("login") for number, node in enumerate(self.nodes)})


@contextmanager
def balanced(folder: Path, url: str, checks: str = CHECKS, **env: str) -> Iterator[Balanced]:
    """Start three servers on the database at `url`, and HAProxy before them; all end with the block.

    `checks`: how often HAProxy looks which servers are ready.
    """
    hosts = own_addresses(COUNT)
    with cluster(folder, url, COUNT, hosts, HEADCOUNT_TRUSTED_BALANCERS=HOST, **env) as nodes:
        home = folder / "haproxy"
        home.mkdir()
        made = certificates(home)
        house = Balanced(folder, nodes, free_ports(3), made)
        try:
            (home / FILE).write_text(_configuration(house, hosts, made, checks))
            with listening([client("haproxy"), "-db", "-f", FILE], home, house.sftp_port):
                house.wait_taken(*range(COUNT))
                yield house
        finally:
            shutil.rmtree(house.admin.parent)


def _configuration(house: Balanced, hosts: list[str], made: Certificates, checks: str) -> str:
    changes = {
        CHECKS: checks,
        ":80,:::80 v6only": f"{HOST}:{house.plain_port}",
        ":443,:::443 v6only": f"{HOST}:{house.http_port}",
        ":22,:::22 v6only": f"{HOST}:{house.sftp_port}",
        "/etc/haproxy/files.example.com.pem": str(made.both),
        "/run/haproxy/admin.sock": str(house.admin),
        **{f"10.0.0.1{number + 1}:": f"{host}:" for number, host in enumerate(hosts)},
    }
    if os.geteuid() != 0:
        changes |= {"    user haproxy\n": "", "    group haproxy\n": ""}
    return replaced((DEPLOY / FILE).read_text(encoding="utf-8"), changes)


async def quietly(connection: Any) -> None:
    """Wait until a connection has ended, in whatever way."""
    async with asyncio.timeout(DEADLINE_S):
        await connection.wait_closed()
