"""`python -m benchmarks [names...] [--rows N] [--runs N] [--tenants N]`: measure, and print one table.

`python -m benchmarks fleet` answers by a model: see `benchmarks.fleet`.

All files are in a temporary folder, which is removed. Nothing else should run on the machine during a measurement.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.arrivals import memory, quick
from benchmarks.closing import close_beside_uploads
from benchmarks.engines import engines
from benchmarks.figures import Figure, table
from benchmarks.fleet import main as fleet
from benchmarks.holds import longest_holds
from benchmarks.hooks import idle_tenants, many_files
from benchmarks.huge import at_once, huge_files
from benchmarks.imports import first_and_again
from benchmarks.neighbours import small_beside_big, small_beside_readers
from benchmarks.pages import pages
from benchmarks.tenants import first_indexes, tenants
from benchmarks.transfers import big_files, small_files

MANY = 10_000

MEASUREMENTS: dict[str, Callable[[Path, int, int], Iterator[Figure]]] = {
    "imports": first_and_again,
    "quick": lambda folder, _rows, runs: quick(folder, runs),
    "memory": lambda folder, rows, _runs: memory(folder, rows),
    "big": lambda folder, _rows, runs: big_files(folder, runs),
    "small": lambda folder, _rows, runs: small_files(folder, runs),
    "hooks": lambda folder, _rows, runs: many_files(folder, runs),
    "idle": lambda folder, _rows, _runs: idle_tenants(folder),
    "pages": pages,
    "closing": lambda folder, _rows, runs: close_beside_uploads(folder, runs),
    "holds": lambda folder, rows, _runs: longest_holds(folder, rows),
    "together": lambda folder, rows, _runs: at_once(folder, rows),
    "huge": lambda folder, rows, _runs: huge_files(folder, rows),
    "indexing": lambda folder, _rows, _runs: first_indexes(folder),
    "neighbours": lambda folder, rows, _runs: small_beside_big(folder, rows),
    "engines": lambda folder, _rows, runs: engines(folder, runs),
    "readers": lambda folder, rows, _runs: small_beside_readers(folder, rows),
}


def main() -> int:
    if sys.argv[1:2] == ["fleet"]:
        return fleet(sys.argv[2:])
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure the figures of docs/performance.md."
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="name",
        help=f"measurements to run: {', '.join([*MEASUREMENTS, 'tenants'])} (default: all)",
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the big lists (default: 1000000)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each measurement (default: 5)")
    parser.add_argument("--tenants", type=int, default=MANY, help=f"tenants of one server (default: {MANY})")
    wanted = parser.parse_args()
    measurements = MEASUREMENTS | {"tenants": lambda folder, _rows, _runs: tenants(folder, wanted.tenants)}
    unknown = set(wanted.names) - measurements.keys()
    if unknown:
        parser.error(f"unknown measurement: {', '.join(sorted(unknown))}")
    figures: list[Figure] = []
    for name in wanted.names or measurements:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="headcount-bench-") as folder:
            figures += measurements[name](Path(folder), wanted.rows, wanted.runs)
    print(f"Python {platform.python_version()}, medians of {wanted.runs} runs (least-most), in turns.\n")
    print(table(figures))
    return 1 if any(figure.holds is False for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
