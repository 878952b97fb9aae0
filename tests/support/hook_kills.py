"""Kill the real server at random moments of files for hooks: each acknowledged file is delivered, and in order.

`python -m tests.support.hook_kills --kills 100 --seed 1` kills it 100 times and prints the states of the files then.
It exits with 1 at the first file that a hook never got, got out of order, or got once too often. Two hooks, one in
the event loop and one in a process, get the files of two tenants, and write down each of them.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from tests.support import ROOT
from tests.support.forked_server import ForkedServer
from tests.support.mortal_server import RUN_PHASES
from tests.support.notes import Notes
from tests.support.waiting import DEADLINE_S, wait_until

MODULE = """
import asyncio, hashlib, os, time
from headcount import Delivery, hook

NOTES = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)


def note(phase, facts=""):
    os.write(NOTES, f"{time.monotonic()} {phase}{facts}\\n".encode())


def write_down(delivery: Delivery) -> None:
    with delivery.open() as file:
        found = hashlib.sha256(file.read()).hexdigest()
    note("delivered:", f" {delivery.tenant} {delivery.path} {delivery.attempt} {found}")
    note("its effect is there")


@hook("/loop/*", name="loop")
async def in_loop(delivery: Delivery) -> None:
    note("it runs")
    await asyncio.sleep(0.004)
    write_down(delivery)
    await asyncio.sleep(0.004)


@hook("/process/*", name="process")
def in_process(delivery: Delivery) -> None:
    note("it runs")
    time.sleep(0.004)
    write_down(delivery)
    time.sleep(0.004)
"""
EFFECT, STARTS = "its effect is there", "the server starts"
PHASES = (*RUN_PHASES, "it runs", EFFECT, STARTS)
LONGEST_S = 0.008
"""The longest time between the begin of a phase and a kill."""
START_S = 0.6
IN_A_ROW = 3
"""The most kills until all files are processed: after five starts the server gives up a run."""
TENANTS = ("acme", "globex")
LINES = tuple((tenant, hook) for tenant in TENANTS for hook in ("loop", "process"))

Line = tuple[str, str]


@dataclass(frozen=True)
class File:
    """A file that a client sent to a hook. All contents differ; names repeat."""

    line: Line
    path: str
    content: bytes
    renamed: bool
    """It is sent under another name, and renamed."""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Delivered:
    """A note of a hook."""

    tenant: str
    path: str
    attempt: int
    sha256: str


def is_connected(sftp: asyncssh.SFTPClient) -> bool:
    """Return whether a CLOSE is sent: on a lost connection asyncssh sends none, and raises no error."""
    return sftp._handler._writer is not None


class Target:
    """A server that is killed repeatedly, the files that it got, and what its hooks wrote down."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self.notes = Notes(folder / "notes")
        (folder / "hooks_that_note.py").write_text(MODULE)
        env = {
            "HEADCOUNT_HOOKS": "hooks_that_note",
            "HEADCOUNT_TEST_NOTES": str(self.notes.path),
            "NOTES": str(self.notes.path),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}",
        }
        self.server = ForkedServer(folder, env=env)
        for tenant in TENANTS:
            self.server.add_tenant(tenant)
        self.sent: dict[Line, list[File]] = {line: [] for line in LINES}
        self.acknowledged: set[str] = set()
        self.cut_off: Counter[str] = Counter()
        """How often a file was being processed when the server was killed."""
        self.hits: Counter[str] = Counter()
        self.kills = self.in_a_row = 0

    def go_on(self) -> None:
        """Start the server, let clients send files, and kill it meanwhile."""
        self.notes.skip()
        phase = self.dice.choice(PHASES)
        if phase == STARTS and 0 < self.in_a_row < IN_A_ROW:
            self.server.launch()
            time.sleep(self.dice.random() * START_S)  # no wait: this is the moment
            self.kill()
            return
        self.server.start()
        if self.in_a_row == IN_A_ROW:
            self.finish()
        with ThreadPoolExecutor(1) as clients:
            clients.submit(asyncio.run, self.send(self.files()))
            count = self.dice.randrange(1, 8)
            self.notes.wait_for({EFFECT if phase == STARTS else phase}, count)
            time.sleep(self.dice.random() * LONGEST_S)
            self.kill()

    def kill(self) -> None:
        self.server.kill()
        self.kills += 1
        self.in_a_row += 1
        begun = set(self.deliveries(self.notes.names()))
        found = Counter[str]()
        for run in self.runs():
            if run["state"] == "running":
                self.cut_off[run["sha256"]] += 1
                had_effect = run["sha256"] in {each.sha256 for each in begun}
                found["between the effect and the end" if had_effect else f"running in the {run['hook']}"] += 1
            elif run["state"] in ("arriving", "queued"):
                found[run["state"]] += 1
        self.hits.update(found.keys() or {"nothing waits"})

    # Clients

    def files(self) -> list[File]:
        """Return some files for each tenant and hook."""
        return [
            File(line, f"/{line[1]}/{self.dice.choice('abc')}", self.dice.randbytes(self.dice.randrange(1, 5000)),
                 renamed=self.dice.random() < 0.3)
            for line in LINES
            for _ in range(self.dice.randrange(2, 5))
        ]  # fmt: skip

    async def send(self, files: list[File]) -> None:
        """Send the files, those of all tenants and hooks beside each other, until the server is killed."""
        await asyncio.gather(*(self.send_as(tenant, files) for tenant in TENANTS), return_exceptions=True)

    async def send_as(self, tenant: str, files: list[File]) -> None:
        lines = ([file for file in files if file.line == line] for line in LINES if line[0] == tenant)
        async with self.server.connect(tenant) as connection:
            await asyncio.gather(*(self.send_in_order(each, connection) for each in lines))

    async def send_in_order(self, files: list[File], connection: asyncssh.SSHClientConnection) -> None:
        """Send each file when the one before is acknowledged: by the answer to its CLOSE, or to its rename."""
        async with connection.start_sftp_client() as sftp:
            for file in files:
                self.sent[file.line].append(file)
                part = f"/part for {file.line[1]}"
                remote = await sftp.open(part if file.renamed else file.path, "wb")
                await remote.write(file.content)
                assert is_connected(sftp)
                await remote.close()
                if file.renamed:
                    await sftp.posix_rename(part, file.path)
                self.acknowledged.add(file.sha256)

    # The promise

    def finish(self) -> None:
        """Wait until all files are processed, and check them."""
        waits = ("arriving", "queued", "running")
        wait_until(
            lambda: not [run for run in self.runs() if run["state"] in waits], DEADLINE_S, "all runs of hooks to end"
        )
        self.in_a_row = 0
        self.check()

    def check(self) -> None:
        """Assert that each acknowledged file was delivered, in order, and again only where a kill cut it off."""
        every = self.deliveries(self.notes.path.read_text().splitlines())
        times = Counter(each.sha256 for each in every)
        ended = {run["sha256"]: run["state"] for run in self.runs() if run["state"] != "aborted"}
        assert set(ended.values()) <= {"completed"}
        assert set(ended) == set(times), "the list of runs differs from what the hooks wrote down"
        for line, files in self.sent.items():
            firsts = dict.fromkeys(each.sha256 for each in every if (each.tenant, each.path.split("/")[1]) == line)
            assert list(firsts) == [file.sha256 for file in files if file.sha256 in firsts], f"{line}: out of order"
            for file in files:
                delivered, cut_off = times[file.sha256], self.cut_off[file.sha256]
                assert delivered or file.sha256 not in self.acknowledged, f"{line}: {file.path} is lost"
                assert delivered <= 1 + cut_off, f"{line}: {delivered} times, {cut_off} kills"
            self.check_folder(line, [file for file in files if file.sha256 in firsts])
        known = {file.sha256 for files in self.sent.values() for file in files}
        assert set(times) <= known, "a hook got bytes that no client sent"

    def check_folder(self, line: Line, delivered: list[File]) -> None:
        """Assert that clients see the newest files, and that nothing else is left."""
        (tenant, hook), stored = line, self.server.stored
        newest = {file.path: file.content for file in delivered}
        paths = [f"/{hook}/{name}" for name in stored.names(tenant, f"/{hook}")]
        seen = {path: stored.visible(tenant, path) for path in paths}
        assert seen == newest, f"{line}: clients do not see the newest files"
        assert stored.unfinished(tenant) == [], "an upload is left"
        wait_until(lambda: not stored.kept_names(tenant, "runs"), what="the copies to be deleted")

    @staticmethod
    def deliveries(notes: list[str]) -> list[Delivered]:
        facts = (note.partition("delivered: ")[2].split() for note in notes if "delivered: " in note)
        return [Delivered(tenant, path, int(attempt), sha256) for tenant, path, attempt, sha256 in facts]

    def runs(self) -> list[dict[str, Any]]:
        return [run for tenant in TENANTS for run in self.server.runs(tenant)]


def play(folder: Path, seed: int, kills: int) -> Target:
    """Kill a server `kills` times. Raises AssertionError at the first file that was not delivered as promised."""
    target = Target(folder, seed)
    try:
        while target.kills < kills:
            target.go_on()
            print(f"{target.kills} kills, {len(target.acknowledged)} files", flush=True)
        target.server.start()
        target.finish()
    finally:
        target.server.end()
    return target


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill the server at random moments of files for hooks.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            target = play(Path(folder), wanted.seed, wanted.kills)
        except Exception as error:
            traceback.print_exc(limit=-3)
            print(json.dumps({"seed": wanted.seed, "error": repr(error)[:4000]}))
            return 1
    for state, hits in target.hits.most_common():
        print(f"{hits:4} while a file was: {state}")
    again = sum(1 for times in target.cut_off.values() if times)
    print(f"{again:4} files were being processed at a kill")
    print(f"seed {wanted.seed}: {target.kills} kills, {len(target.acknowledged)} acknowledged files, each delivered")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
