"""`python -m benchmarks fleet`: how many servers and which PostgreSQL 100,000 tenants need, by a model of a day.

The costs of the model are measured by `python -m benchmarks fleet --measure` on this machine, and stored beside the
model. Everything else is assumed, and `--assume late_s=300` changes it. The output marks which is which.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path

from benchmarks.sizing import report
from benchmarks.sizing.answers import Model, needed
from benchmarks.sizing.feeds import feeds_of_day
from benchmarks.sizing.inputs import Assumptions, costs_from

STORED = Path(__file__).parent / "sizing" / "measured.json"


def main(arguments: Sequence[str]) -> int:
    """Print the answers. Return 0; 1 if no number of servers is enough; 2 if nothing was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks fleet", description=__doc__)
    parser.add_argument("--measure", action="store_true", help="measure the costs on this machine, and store them")
    parser.add_argument("--seed", type=int, default=1, help="another day of the same kind (default: 1)")
    parser.add_argument(
        "--assume", action="append", default=[], metavar="NAME=VALUE", help="another value of an assumption"
    )
    parser.add_argument("--costs", type=Path, default=STORED, metavar="FILE", help="the file with measured costs")
    asked = parser.parse_args(arguments)
    try:
        assumed = assuming(asked.assume)
    except ValueError as error:
        parser.error(str(error))
    if asked.measure:
        from benchmarks.sizing.measuring import measured  # it needs psycopg and PostgreSQL

        asked.costs.write_text(json.dumps(measured(), indent=2) + "\n", encoding="utf-8")
    if not asked.costs.exists():
        print("nothing was measured yet: python -m benchmarks fleet --measure", file=sys.stderr)
        return 2
    stored = json.loads(asked.costs.read_text(encoding="utf-8"))
    model = Model(costs_from(stored["costs"]), assumed, feeds_of_day(assumed, asked.seed))
    print(report.inputs(model, stored), end="\n\n", flush=True)
    found = needed(model)
    if found is None:
        print("No number of servers is enough.")
        return 1
    fleet = model.fleet(found.nodes, found.postgres_cores)
    print(report.answers(model, found, fleet, model.day(fleet)), end="\n\n", flush=True)
    print(report.disturbances(model, list(report.disturbed(model, fleet))))
    return 0


def assuming(changes: Iterable[str]) -> Assumptions:
    """Return the assumptions with these changes, each as NAME=VALUE. Raises ValueError."""
    types = {each.name: int if each.type == "int" else float for each in fields(Assumptions)}
    found = {}
    for each in changes:
        name, _, value = each.partition("=")
        if name not in types:
            raise ValueError(f"unknown assumption “{name}”; known are {', '.join(types)}")
        found[name] = types[name](value)
    return replace(Assumptions(), **found)  # type: ignore[arg-type]
