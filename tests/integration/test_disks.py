"""The disks of a test run are unmounted when it ends, however it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.clients import NO_MOUNTS, TMPFS, needs
from tests.support.disks import root_is_mounted

RUN = """
import sys
from pathlib import Path
from tests.support.disks import small_disk, stand_apart
assert stand_apart()
with small_disk(Path(sys.argv[1])):
    print("mounted", flush=True)
    sys.stdin.read()
"""


@needs(TMPFS)
@pytest.mark.skipif(not root_is_mounted(), reason=NO_MOUNTS)
def test_a_run_that_is_killed_leaves_no_disk_mounted(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", RUN, str(disk)], cwd=ROOT, stdin=pipe, stdout=pipe) as run:
        assert run.stdout
        assert run.stdout.readline() == b"mounted\n"
        assert f" {disk} " in Path(f"/proc/{run.pid}/mounts").read_text()
        assert f" {disk} " not in Path("/proc/self/mounts").read_text()
        run.kill()
    disk.rmdir()
