"""Examine a data folder, beside a running server."""

from __future__ import annotations

import time
from pathlib import Path

from ground.moments import Clock, utc_now
from server.doctor.findings import Finding
from server.doctor.gathering import gather
from server.doctor.judging import judge

AGAIN_S = 1.0
"""Seconds between two examinations: what a server or a command does takes less."""


def examine(data_dir: Path, clock: Clock = utc_now) -> list[Finding]:
    """Return what is wrong with `data_dir`, a folder with data of Headcount; empty if all is well. Blocks.

    The work of a server may look wrong for a moment, so a finding must be found twice. Raises OSError.
    """
    first = judge(gather(data_dir), clock())
    if not first:
        return first
    time.sleep(AGAIN_S)
    known = {each.key for each in first}
    return [each for each in judge(gather(data_dir), clock()) if each.key in known]
