"""Big imports: the importer beside what Python and SQLite cost anybody, each run in a fresh process, taking turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from benchmarks.child import Measured, measure
from benchmarks.figures import MIB, Figure
from benchmarks.people import write_people

FLOOR = "csv.reader + executemany"
READ = "csv.reader alone"
CHANGED = 0.01


class Company:
    """The user lists of one company and the databases they go into."""

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder, self.rows = folder, rows
        self.list = write_people(folder / "people.csv", rows)
        self.changed = write_people(folder / "changed.csv", rows, changed=CHANGED)
        self._ids = count(1)
        (folder / "messages").mkdir(exist_ok=True)

    def database(self, name: str) -> Path:
        """A path where no database is."""
        path = self.folder / f"{name}.db"
        for file in self.folder.glob(f"{path.name}*"):
            file.unlink()
        return path

    def insert(self) -> Measured:
        return measure("insert", self.list, self.database("floor"))

    def run(self, file: Path, database: Path) -> Measured:
        done = measure("run", file, database, self.folder / "messages", next(self._ids))
        if done.result["state"] not in ("completed", "unchanged"):
            raise RuntimeError(f"the import of {file.name} ended {done.result}")
        return done


def first_and_again(folder: Path, rows: int, runs: int) -> Iterator[Figure]:
    """The first import of everybody, then the same list with 1% of the rows changed, and back again."""
    company = Company(folder, rows)
    first, again, floor, reading = [], [], [], []
    for turn in range(runs):
        floor.append(company.insert())
        database = company.database("users")
        first.append(company.run(company.list, database))
        reading.append(measure("read", company.list))
        # Each of the two lists has 1% changed against the other.
        again.append(company.run(company.changed, database))
        if turn + 1 < runs:
            again.append(company.run(company.list, database))
    label = f"{rows:,} rows"
    yield Figure(f"first import, {label}", "s", _seconds(first), FLOOR, _seconds(floor), most=2.0)
    yield Figure(f"first import, {label}, processor time", "s", _worked(first), FLOOR, _worked(floor))
    yield Figure(f"again, 1% changed, {label}", "s", _seconds(again), FLOOR, _seconds(floor), most=1.0)
    yield Figure(f"again, 1% changed, {label}, processor time", "s", _worked(again), FLOOR, _worked(floor))
    yield Figure(f"again, 1% changed, {label}", "s", _seconds(again), READ, _seconds(reading))
    yield Figure(f"memory of the importer alone, {label}", "MiB", _peaks(first + again), FLOOR, _peaks(floor))


def _seconds(runs: Sequence[Measured]) -> list[float]:
    return [done.seconds for done in runs]


def _worked(runs: Sequence[Measured]) -> list[float]:
    return [done.cpu_seconds for done in runs]


def _peaks(runs: Sequence[Measured]) -> list[float]:
    return [done.peak_bytes / MIB for done in runs]
