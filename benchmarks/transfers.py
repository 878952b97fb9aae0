"""Uploads and downloads with OpenSSH's client: Headcount beside OpenSSH's server, in turns."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

from benchmarks.figures import MIB, Figure
from benchmarks.servers import Server, cpu_s, headcount, openssh

BIG_MIB = 200
CONNECTIONS = 60
AT_A_TIME = 4
PEER = "OpenSSH's server"


def big_files(folder: Path, runs: int) -> Iterator[Figure]:
    """Measure one big file up and down, and up at the hook's path, where it is on disk before the client's OK."""
    big = folder / "big"
    big.write_bytes(os.urandom(MIB) * BIG_MIB)
    with headcount(folder / "headcount") as ours, openssh(folder / "openssh") as peer:
        up: dict[str, list[float]] = {}
        cpu: dict[str, list[float]] = {}
        got = folder / "fetched"
        for _ in range(runs):
            for server in (ours, peer):
                for verb, command in (("put", f"put {big} {server.home}big"), ("get", f"get {server.home}big {got}")):
                    worked = cpu_s(server)
                    up.setdefault(f"{server.name} {verb}", []).append(server.sftp(command))
                    cpu.setdefault(f"{server.name} {verb}", []).append(cpu_s(server) - worked)
            # The file is not a user list, so its import fails at the first line and does not disturb the next turn.
            up.setdefault("hook", []).append(ours.sftp(f"put {big} sync_users.csv"))
            up.setdefault("put -f", []).append(peer.sftp(f"put -f {big} {peer.home}synced"))
    size = f"of {BIG_MIB} MiB"
    yield Figure(f"upload {size}", "s", up["acme put"], PEER, up["openssh put"], most=0.8)
    yield Figure("the same, processor time of the server", "s", cpu["acme put"], PEER, cpu["openssh put"])
    yield Figure(f"download {size}", "s", up["acme get"], PEER, up["openssh get"], most=0.8)
    yield Figure("the same, processor time of the server", "s", cpu["acme get"], PEER, cpu["openssh get"])
    yield Figure(f"upload {size} at /sync_users.csv", "s", up["hook"], f"{PEER}, put -f", up["put -f"])


def small_files(folder: Path, runs: int) -> Iterator[Figure]:
    """Measure connecting, sending a small file and disconnecting: the usual work of a server with small tenants."""
    small = folder / "small"
    small.write_text("a small file\n")
    with headcount(folder / "headcount") as ours, openssh(folder / "openssh") as peer:
        times: dict[str, list[float]] = {"acme": [], "openssh": []}
        for _ in range(runs):
            for server in (ours, peer):
                times[server.name].append(_crowd(server, small))
    what = f"{CONNECTIONS} times connect, put, quit, {AT_A_TIME} at a time"
    yield Figure(what, "s", times["acme"], PEER, times["openssh"], most=0.3)


def _crowd(server: Server, small: Path) -> float:
    start = perf_counter()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        sent = [pool.submit(server.sftp, f"put {small} {server.home}small-{n}") for n in range(CONNECTIONS)]
        for each in sent:
            each.result()
    return perf_counter() - start
