"""Big imports: the importer beside the bare cost of Python and SQLite, each run in a fresh process, in turns."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from benchmarks.child import Measured, measure
from benchmarks.figures import MIB, Figure
from benchmarks.people import write_people

FLOOR = "csv.reader + executemany"
READ = "csv.reader alone"
CHANGED = 0.01
RENEWED = 0.01


class Company:
    """The user lists of one company, and paths for databases."""

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder, self.rows = folder, rows
        self.list = write_people(folder / "people.csv", rows)
        self.changed = write_people(folder / "changed.csv", rows, changed=CHANGED)
        self.renewed = renew(self.list, folder / "renewed.csv")
        self.shuffled = shuffle(self.list, folder / "shuffled.csv")
        self._ids = count(1)
        (folder / "messages").mkdir(exist_ok=True)

    def database(self, name: str) -> Path:
        """Remove a database of this name; return its path. The database of the users is `users.db`."""
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


def renew(file: Path, path: Path) -> Path:
    """Write the list to `path`, with `RENEWED` of its users replaced by new ones."""
    dice = random.Random(4)
    with file.open(encoding="utf-8", newline="") as lines, path.open("w", encoding="utf-8", newline="") as out:
        out.write(next(lines))
        out.writelines(
            line.replace("@acme.example", "@new.example", 1) if dice.random() < RENEWED else line for line in lines
        )
    return path


def shuffle(file: Path, path: Path) -> Path:
    """Write the list to `path`, with its rows in another order."""
    with file.open(encoding="utf-8", newline="") as lines:
        header, *rows = lines
    random.Random(3).shuffle(rows)
    with path.open("w", encoding="utf-8", newline="") as out:
        out.writelines([header, *rows])
    return path


def first_and_again(folder: Path, rows: int, runs: int) -> Iterator[Figure]:
    """Measure the first import of a list, and the list again: unchanged, with changed rows, in another order, or with
    some users replaced by new ones.
    """
    company = Company(folder, rows)
    floor, reading = [], []
    done: dict[str, list[Measured]] = {name: [] for name in ("first", "unchanged", "changed", "shuffled", "renewed")}
    for _ in range(runs):
        floor.append(company.insert())
        database = company.database("users")
        done["first"].append(company.run(company.list, database))
        reading.append(measure("read", company.list))
        done["unchanged"].append(company.run(company.list, database))
        # Each of the two lists has 1% changed against the other.
        done["changed"].append(company.run(company.changed, database))
        done["changed"].append(company.run(company.list, database))
        done["shuffled"].append(company.run(company.shuffled, database))
        company.run(company.list, database)
        done["renewed"].append(company.run(company.renewed, database))
    label = f"{rows:,} rows"
    for name, what, other, beside, most in (
        ("first", "first import", FLOOR, floor, 2.0),
        ("unchanged", "again, unchanged", READ, reading, 0.5),
        ("changed", "again, 1% changed", READ, reading, 1.0),
        ("renewed", "again, 1% gone and 1% new", READ, reading, 1.5),
        ("shuffled", "again, in another order", FLOOR, floor, 1.0),
    ):
        yield Figure(f"{what}, {label}", "s", _seconds(done[name]), other, _seconds(beside), most=most)
        yield Figure(f"{what}, {label}, processor time", "s", _worked(done[name]), other, _worked(beside))
    peaks = _peaks([each for measured in done.values() for each in measured])
    yield Figure(f"memory of the importer alone, {label}", "MiB", peaks, FLOOR, _peaks(floor))


def _seconds(runs: Sequence[Measured]) -> list[float]:
    return [done.seconds for done in runs]


def _worked(runs: Sequence[Measured]) -> list[float]:
    return [done.cpu_seconds for done in runs]


def _peaks(runs: Sequence[Measured]) -> list[float]:
    return [done.peak_bytes / MIB for done in runs]
