"""Move a large installation into a database and back, and say how long that takes.

`python -m tests.support.moving_big --tenants 1000 --rows 1000000` makes so many tenants of 50 users, and one with so
many rows. It exits with 1 if a move fails or finds a difference. PostgreSQL is that of the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.tenants import multiply
from tests.support import ROOT
from tests.support.importing import crowd
from tests.support.postgres import url_of_new
from tests.support.server_process import ServerProcess

USERS = 50


def made(folder: Path, tenants: int, rows: int) -> Path:
    """Make the installation in `folder`; return its data folder."""
    with ServerProcess(folder) as server:
        for name, count in (("acme", USERS), ("big", rows)):
            server.add_tenant(name)
            server.put(name, crowd(count))
            assert server.wait(name)["counts"]["created"] == count
        server.stop()
    multiply(server.data, tenants)
    return server.data


def moved(target: str, env: dict[str, str]) -> dict[str, Any]:
    """Move to `target`; print the time, and return the result."""
    begun, outside = time.monotonic(), {k: v for k, v in os.environ.items() if not k.startswith("HEADCOUNT_")}
    command = [sys.executable, "-m", "server", "migrate", "--to", target, "--json"]
    done = subprocess.run(command, cwd=ROOT, env={**outside, **env}, stdout=subprocess.PIPE, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    rows, files = sum(result["rows"].values()), result["files"]
    took = time.monotonic() - begun
    print(
        f"{took:.0f} s, {most} MiB at most: {result['tenants']:,} tenants, {rows:,} rows, {files:,} files", flush=True
    )
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description="Move a large installation into a database and back.")
    parser.add_argument("--tenants", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, url, secret = made(folder, given.tenants, given.rows), url_of_new(folder), folder / "secret"
        secret.write_bytes(os.urandom(32))
        secret.chmod(0o600)
        env = {"HEADCOUNT_SECRET_KEY_FILE": str(secret)}
        there = moved(url, {**env, "HEADCOUNT_DATA_DIR": str(data)})
        back = moved(str(folder / "back"), {**env, "HEADCOUNT_DATABASE_URL": url})
    return 0 if {**there, "from": "", "to": ""} == {**back, "from": "", "to": ""} else 1


if __name__ == "__main__":
    sys.exit(main())
