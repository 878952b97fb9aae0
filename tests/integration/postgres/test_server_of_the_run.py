"""The PostgreSQL of a test run is one for all its processes, and ends with it: tests leave nothing on the machine."""

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
from tests.support.postgres_server import STOP_S, VARIABLE
from tests.support.waiting import wait_until

pytestmark = needs(POSTGRES)

RUN = """
import os, subprocess, sys, time
from tests.support.postgres_server import begin_run, server
begin_run()
ask = "from tests.support.postgres_server import server; print(*server(), flush=True)"
both = [subprocess.Popen([sys.executable, "-c", ask], stdout=subprocess.PIPE, text=True) for _ in range(2)]
told = {each.communicate()[0].strip() for each in both}
assert told == {"{} {}".format(*server())}, told
print(*told, flush=True)
child = os.fork()
if child:
    print(child, flush=True)
if not child or sys.argv[1] == "killed":
    time.sleep(999)
"""


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_the_processes_of_a_run_have_one_server_that_ends_with_the_run(how: str) -> None:
    """It ends although a child of the run does not."""
    env = {name: value for name, value in os.environ.items() if name != VARIABLE}
    run = subprocess.Popen([sys.executable, "-c", RUN, how], cwd=ROOT, env=env, stdout=subprocess.PIPE)
    assert run.stdout
    folder, port = run.stdout.readline().split()
    child = int(run.stdout.readline())
    try:
        if how == "killed":
            with psycopg.connect(f"postgresql://headcount@127.0.0.1:{int(port)}/postgres"):
                run.kill()
        run.wait(2 * STOP_S)
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
