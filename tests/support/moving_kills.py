"""Kill `headcount migrate` at random moments: it goes on each time, and everything is there once at the end.

`python -m tests.support.moving_kills --kills 100 --seed 1` moves an installation into new databases and new folders
in turns, and kills the command 100 times. It exits with 1 if anything differs from the first folder, or if two places
can be used at the same time.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from tests.support.moving import content_of, fill_installation
from tests.support.nursery import run
from tests.support.postgres import url_of_new
from tests.support.server_process import ServerProcess

MORE_TENANTS = 4


class Mover:
    """An installation that is moved to and fro, and killed meanwhile."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.dice = random.Random(seed)
        self.kills = self.moves = 0
        self.hits: Counter[str] = Counter()
        with ServerProcess(folder) as server:
            for number in range(MORE_TENANTS):
                server.add_tenant(f"more-{number}", stale_after_days="3")
            fill_installation(server)
        self.place: dict[str, str] = {"HEADCOUNT_DATA_DIR": str(folder / "data")}
        self.before = content_of(folder / "data")
        self.secret = folder / "secret"
        self.secret.write_bytes(os.urandom(32))
        self.secret.chmod(0o600)
        self.took = self._took()

    def there_and_back(self, kills: int) -> None:
        """Move into a new database and from there into a new folder, killed up to `kills` times; compare."""
        self.kills_left = kills
        data = Path(self.place["HEADCOUNT_DATA_DIR"])
        url = url_of_new(self._new("database"))
        self._move(url, {"HEADCOUNT_DATABASE_URL": url}, kills - kills // 2)
        back = self._new("back")
        self._move(str(back), {"HEADCOUNT_DATA_DIR": str(back)}, self.kills_left)
        after = content_of(back)
        different = [place for place in self.before if after.get(place) != self.before[place]]
        assert different == []
        assert after.keys() == self.before.keys()
        if data != self.folder / "data":
            shutil.rmtree(data)

    def _move(self, target: str, there: dict[str, str], kills: int) -> None:
        """Move to `target`, killed so many times."""
        for number in range(kills):
            begun = time.monotonic()
            if self._killed(target, self.dice.uniform(0.1, 1.05) * self.took):
                self.kills += 1
                self.kills_left -= 1
                self._check_one_is_usable(there)
            elif number == 0:  # the whole move took less time than the one that was measured
                self.took = time.monotonic() - begun
        done = self._run(target, self.place)
        # A kill at the very end may come when all is done.
        assert done.returncode == 0 or "Nothing to do" in done.stderr, done.stderr
        assert self._usable(there), "the target cannot be used"
        assert not self._usable(self.place), "the source can still be used"
        self.place = there
        self.moves += 1

    def _killed(self, target: str, after_s: float) -> bool:
        with open(os.devnull, "w") as nothing:
            env, out = self._environment(self.place), nothing.fileno()
            process = run(["migrate", "--to", target, "--json"], env, out, out)
        with suppress(subprocess.TimeoutExpired):
            process.wait(after_s)
            return False
        process.kill()
        process.wait()
        return True

    def _run(self, target: str, place: dict[str, str]) -> subprocess.CompletedProcess[str]:
        server = ServerProcess(self.folder, env=self._environment(place))
        return server.command("migrate", "--to", target, "--json")

    def _took(self) -> float:
        """Return how long a move takes that is not killed: one of a copy."""
        shutil.copytree(self.folder / "data", copied := self._new("copy"))
        url, begun = url_of_new(self._new("first")), time.monotonic()
        done = self._run(url, {"HEADCOUNT_DATA_DIR": str(copied)})
        assert done.returncode == 0, done.stderr
        return time.monotonic() - begun

    def _check_one_is_usable(self, there: dict[str, str]) -> None:
        found = [self._usable(self.place), self._usable(there)]
        assert found != [True, True], "both places can be used"
        self.hits[
            {(True, False): "before the first mark", (False, False): "between"}.get(tuple(found), "after all")
        ] += 1

    def _usable(self, place: dict[str, str]) -> bool:
        """Return whether a command finds tenants there."""
        ran = ServerProcess(self.folder, env=self._environment(place)).cli("tenant", "list", "--json", check=False)
        return ran.code == 0 and bool(ran.json)

    def _environment(self, place: dict[str, str]) -> dict[str, str]:
        outside = {name: value for name, value in os.environ.items() if not name.startswith("HEADCOUNT_")}
        return {**outside, "HEADCOUNT_SECRET_KEY_FILE": str(self.secret), **place}

    def _new(self, what: str) -> Path:
        return self.folder / f"{what}-{self.moves}"


def play(folder: Path, seed: int, kills: int) -> Mover:
    """Kill moves so many times. Raises AssertionError at the first difference."""
    mover = Mover(folder, seed)
    while mover.kills < kills:
        mover.there_and_back(min(8, kills - mover.kills))
    return mover


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill headcount migrate at random moments.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            mover = play(Path(folder), given.seed, given.kills)
        except AssertionError as error:
            print(f"seed {given.seed}: {error}")
            return 1
    print(f"seed {given.seed}: {mover.kills} kills, {mover.moves} moves, nothing differs; {dict(mover.hits)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
