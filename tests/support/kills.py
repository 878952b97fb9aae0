"""Kill the real server at random moments of imports: the next start applies each import once and completely.

`python -m tests.support.kills --kills 100 --seed 1` kills it 100 times and prints how many kills hit which phase of
an import. It exits with 1 at the first difference from a server that was not killed. Most phases take a few
milliseconds, so a moment is a random phase and a part of the time that it took without a kill.

The expected result is that of a twin of each company: the same files, each read alone, without a server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.support.importing import Company, sheet
from tests.support.installation import company_in
from tests.support.notes import Notes, processes_of
from tests.support.seen import first_difference, seen_of
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until

HEADER = ("first_name", "last_name", "email", "manager", "primary_team", "job_title")
KILLS_MOST = 3
"""The most kills of one import: after five starts the server gives up an import."""
WAITS, ENDED, STARTS = "it waits", "it has ended", "the server starts"
ENDS = ("completed", "completed_with_errors", "unchanged", "failed")
LAST_S = 0.02
"""The longest time between the end of an import and a kill."""

Row = tuple[str, ...]


class Target:
    """A server that is killed repeatedly, and the companies whose files it imports."""

    twin: Company
    """The same company as the newest one of the server."""

    def __init__(self, folder: Path, seed: int, rows: int) -> None:
        self.dice = random.Random(seed)
        self.folder = folder
        self.rows = rows
        self.notes = Notes(folder / "notes")
        # A second process gets only PYTHONPATH of the environment: the folder in it shows whose process it is.
        env = {"HEADCOUNT_TEST_NOTES": str(self.notes.path), "PYTHONPATH": str(folder)}
        self.server = ServerProcess(folder, entry="tests.support.mortal_server", env=env)
        self.companies = self.joined = self.imports = self.outlived = 0
        self.people: list[Row] = []
        self.took: dict[bool, dict[str, float]] = {}
        self.hits: Counter[str] = Counter()

    @property
    def tenant(self) -> str:
        return f"company-{self.companies}"

    def begin(self) -> None:
        """Start the server, and measure each phase of a first and of another import without a kill."""
        self.server.start()
        for first in (True, False):
            self.edit(first=first)
            self.send(first=first, kills=0)
            begun = self.notes.begun()
            self.took[first] = {ENDED: LAST_S}
            for (at, name), (until, _) in pairwise(begun):
                self.took[first][name] = self.took[first].get(name, 0) + until - at

    def go_on(self, most: int) -> None:
        """Import another file, killed up to `most` times, and then the same file again."""
        first = self.dice.random() < 0.4
        self.edit(first=first)
        self.send(first=first, kills=min(most, self.dice.choice((1, 1, 1, 2, KILLS_MOST))))
        assert self.send(first=False, kills=0) == "unchanged"

    # Files.

    def edit(self, *, first: bool) -> None:
        """Change the list of the company, or make the `first` list of a new one."""
        if first:
            self.companies += 1
            self.server.add_tenant(self.tenant, deactivate_missing="true", max_deactivations_percent="100")
            own = self.folder / "twins" / self.tenant
            own.mkdir(parents=True)
            self.twin = company_in(own, pieces=None)
            self.people = [self.person() for _ in range(self.rows)]
            return
        for at in self.dice.sample(range(len(self.people)), len(self.people) // 100):
            self.people[at] = (*self.people[at][:-1], self.dice.choice(("Baker", "Boss", "Cook")))
        for at in self.dice.sample(range(len(self.people)), len(self.people) // 100):
            self.people[at] = self.person()
        if self.dice.random() < 0.3:
            self.dice.shuffle(self.people)

    def person(self) -> Row:
        self.joined += 1
        manager = f"p{self.dice.randrange(1, self.joined + 1)}@x.org" if self.dice.random() < 0.5 else ""
        name, team = f"p{self.joined}", self.dice.choice(("Ops", "Care"))
        return name, "Smith", f"{name}@x.org", manager, team, "Baker"

    # One import.

    def send(self, *, first: bool, kills: int) -> str:
        """Import the list, killed `kills` times, and return the final state."""
        import_id, content = self.twin.imports + 1, sheet(*self.people, header=HEADER)
        self.notes.skip()
        file = self.folder / "sent.csv"
        file.write_bytes(content)
        with ThreadPoolExecutor(1) as client:
            client.submit(self.server.sftp, self.tenant, f'put "{file}" /sync_users.csv')
            if not kills:
                wait_until(lambda: ENDED in self.notes.names(), what="the end of an import")
            for number in range(kills):
                if number and self.server.state(self.tenant, import_id) not in ("queued", "running"):
                    break
                if number:
                    self.notes.skip()
                    self.server.launch()
                self.kill(first=first, again=number > 0)
        if kills:
            self.notes.skip()
            self.server.start()
            self.imports += 1
        state = self.server.reaches(self.tenant, import_id, *ENDS)
        self.check(import_id, content)
        return state

    def kill(self, *, first: bool, again: bool) -> None:
        """Kill the server at a random moment of an import. `again`: this import was killed before."""
        took = self.took[first]
        phase = self.dice.choice([name for name in took if not (again and name == WAITS)])
        self.notes.wait_for({phase, ENDED})
        time.sleep(self.dice.random() * took[phase])  # no wait: this is the moment
        self.server.kill()
        self.hits[self.notes.names()[-1] if self.notes.names() else STARTS] += 1
        self.outlived += bool(processes_of(self.folder))
        wait_until(lambda: not processes_of(self.folder), what="the process beside the server to end")

    # The expected result.

    def check(self, import_id: int, content: bytes) -> None:
        """Assert that everything is as with the twin."""
        outcome = asyncio.run(self.twin.run(content, deactivate_missing=True, max_deactivations_percent=100))
        report = self.server.report(self.tenant, import_id)
        assert report["counts"] == outcome.to_json()["counts"]
        assert self.server.result(self.tenant, import_id) == report
        self.server.stored.check_users(self.tenant)
        ours, theirs = asyncio.run(self.both(import_id))
        for name in theirs:
            assert ours[name] == theirs[name], (name, *first_difference(ours[name], theirs[name]))
        assert self.server.stored.unfinished(self.tenant) == []

    async def both(self, import_id: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what the newest company and its twin have."""

        def of_twin(name: str) -> bytes | None:
            file = self.twin.folder / name
            return file.read_bytes() if file.exists() else None

        stored = self.server.stored
        ours = await seen_of(stored.company(self.tenant), lambda name: stored.kept(self.tenant, name), import_id)
        return ours, await seen_of(self.twin, of_twin, import_id)


def play(folder: Path, seed: int, kills: int, rows: int) -> Target:
    """Kill a server `kills` times. Raises AssertionError at the first difference from a server without kills."""
    target = Target(folder, seed, rows)
    try:
        target.begin()
        while (left := kills - target.hits.total()) > 0:
            target.go_on(left)
            print(f"{target.hits.total()} kills, {target.imports} imports", flush=True)
    finally:
        target.server.end()
    return target


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill the server at random moments of imports.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=int, default=20_000, help="of a file (20000)")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            target = play(Path(folder), wanted.seed, wanted.kills, wanted.rows)
        except Exception as error:
            print(json.dumps({"seed": wanted.seed, "error": repr(error)[:4000]}))
            return 1
    for phase, hits in target.hits.most_common():
        print(f"{hits:4} while: {phase}")
    print(f"{target.outlived:4} while a process beside the server read the file, which ended by itself")
    print(f"seed {wanted.seed}: {target.hits.total()} kills of {target.imports} imports, each applied once and whole")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
