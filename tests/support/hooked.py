"""A module with a hook for the real server.

with ServerProcess(folder, env=hooked(folder)) as server:
    server.put("acme", b"No,Sum\\n", "/invoices/march.csv")
    run = run_of(server, "acme", 1, "completed")
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.support import ROOT
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until

MODULE = """
import asyncio, os
from pathlib import Path
from headcount import Delivery, Message, Refuse, Result, Retry, Upload, hook

GATE = Path(os.environ["GATE"])

def check(upload: Upload) -> None:
    with upload.open() as file:
        if b"virus" in file.read():
            raise Refuse("This file has a <virus>.")

@hook("/invoices/*.csv", name="invoices", accept=check)
async def invoices(delivery: Delivery) -> Result:
    with delivery.open() as file:
        lines = file.read().decode().splitlines()
    while not GATE.exists():
        await asyncio.sleep(0.05)
    if lines[0].startswith("bad") and GATE.read_text() != "mended":
        raise Retry(0, f"This is bad: <{lines[0]}>")
    delivery.report("lines.txt", b"%d lines" % len(lines))
    said = [Message("warning", f"Old: <{line}>.", line=at, column=line) for at, line in enumerate(lines, 1)]
    return Result(f"The hook has read <{lines[0]}>.", {"lines": len(lines), lines[0]: 0}, said)
"""
"""`bad` files fail after five attempts at once, until the file that `gate` names says `mended`; no hook ends before
that file exists."""


def hooked(folder: Path) -> dict[str, str]:
    """Write the module into `folder`; return the environment of a server with its hook."""
    (folder / "hooks_of_tests.py").write_text(MODULE)
    paths = f"{ROOT}{os.pathsep}{folder}"
    return {"PYTHONPATH": paths, "GATE": str(gate_of(folder)), "HEADCOUNT_HOOKS": "hooks_of_tests"}


def gate_of(folder: Path) -> Path:
    """Return the file that lets the hook end."""
    return folder / "gate"


def run_of(server: ServerProcess, tenant: str, run_id: int, *states: str) -> dict[str, Any]:
    """Wait until a run is in one of `states`; return it."""

    def there() -> dict[str, Any] | None:
        runs = server.cli("hook", "runs", tenant, "--json").json
        return next((run for run in runs if run["id"] == run_id and run["state"] in states), None)

    found = wait_until(there, what=f"run {run_id} of {tenant} to be {states}")
    assert found
    return found
