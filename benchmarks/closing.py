"""How long a client waits for the OK of its list: at an idle server, and while many others upload plain files.

Only the CLOSE is timed, as its client sees it: when it ends, the file is on disk and its import is queued. The header
of the file is invalid, so no import is measured with it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

import asyncssh

from benchmarks.figures import MIB, Figure
from benchmarks.servers import TENANT, Server, headcount, stopping

OTHERS = 25
CLOSES = 10
PLAIN_MIB = 16
ROUNDS = 1000
"""Each of the others would send its file this many times; it is stopped before."""

PAUSE_S = 0.05


def close_beside_uploads(folder: Path, runs: int) -> Iterator[Figure]:
    """Measure CLOSE at the hook's path: alone, and beside 25 clients that upload plain files, in turns."""
    plain = folder / "plain"
    plain.write_bytes(os.urandom(MIB) * PLAIN_MIB)
    others = tuple(f"other-{number}" for number in range(OTHERS))
    alone: list[float] = []
    beside: list[float] = []
    with headcount(folder / "headcount", (TENANT, *others)) as server:
        for _ in range(runs):
            alone += asyncio.run(_closes(server))
            with ExitStack() as uploading:
                for name in others:
                    uploading.enter_context(stopping(_uploading(server, name, plain)))
                beside += asyncio.run(_closes(server))
    what = f"CLOSE at /sync_users.csv beside {OTHERS} plain uploads"
    yield Figure(what, "s", beside, "without them", alone, most=2.0)


async def _closes(server: Server) -> list[float]:
    key = str(server.folder / "key")
    times = []
    async with (
        asyncssh.connect("127.0.0.1", server.port, username=TENANT, client_keys=[key], known_hosts=None, config=None,
                         agent_path=None) as connection,
        connection.start_sftp_client() as sftp,
    ):  # fmt: skip
        for _ in range(CLOSES):
            remote = await sftp.open("sync_users.csv", "wb")
            await remote.write(b"nothing,known\n")
            start = perf_counter()
            await remote.close()
            times.append(perf_counter() - start)
            await asyncio.sleep(PAUSE_S)
    return times


def _uploading(server: Server, tenant: str, plain: Path) -> subprocess.Popen[bytes]:
    """Start OpenSSH's client, which sends the same file again and again."""
    batch = server.folder / "uploads"
    batch.write_text(f"put {plain} plain\n" * ROUNDS)
    command = ["sftp", "-q", "-F", str(server.folder / "ssh_config"), "-b", str(batch), tenant]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)
