"""The PostgreSQL of a test run ends with it, so that tests leave nothing on the machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.support import ROOT
from tests.support.clients import POSTGRES, needs
from tests.support.postgres import VARIABLE
from tests.support.waiting import wait_until

pytestmark = needs(POSTGRES)

RUN = """
import os, sys, time
from tests.support.postgres import server
print(*server(), flush=True)
child = os.fork()
if child:
    print(child, flush=True)
if not child or sys.argv[1] == "killed":
    time.sleep(999)
"""


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_the_server_of_a_run_ends_with_it_though_a_child_of_the_run_does_not(how: str) -> None:
    env = {name: value for name, value in os.environ.items() if name != VARIABLE}
    run = subprocess.Popen([sys.executable, "-c", RUN, how], cwd=ROOT, env=env, stdout=subprocess.PIPE)
    assert run.stdout
    folder, port = run.stdout.readline().split()
    child = int(run.stdout.readline())
    try:
        if how == "killed":
            with psycopg.connect(f"postgresql://headcount@127.0.0.1:{int(port)}/postgres"):
                run.kill()
        run.wait(25)
        wait_until(lambda: not any(folder in each for each in processes()))
        assert not os.path.exists(folder)
    finally:
        run.stdout.close()
        run.kill()
        run.wait()
        os.kill(child, signal.SIGKILL)


def processes() -> list[bytes]:
    """Return the command line of each process."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(each.read_bytes())
        except OSError:  # it has ended
            continue
    return found
