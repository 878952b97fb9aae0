"""`python -m tests.soak --days 365 --seed 1`: simulate days of operation, and compare each with a plain model.

It exits with 1 at the first day with a difference, and says how to run it again.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.support import disks, jumping_clock

BEGIN = datetime(2030, 1, 3, 14, tzinfo=UTC)
"""The first moment: a seed gives the same days whenever it runs, also across a Monday and its digests.

The work of a day comes later each day, by two hours in a year. It must not be done at 00:00 or 12:00, when dates and
leave dates begin to count: the model cannot know on which side the server read its clock.
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--seed", type=int, default=1)
    faults = ("user", "file", "import")
    parser.add_argument(
        "--fault", choices=faults, action="append", default=[], help="damage the data on the last day"
    )
    asked = parser.parse_args()
    if asked.days < 1:
        parser.error("--days: at least 1")
    apart = os.geteuid() == 0 and disks.stand_apart()
    with tempfile.TemporaryDirectory(prefix="soak-", dir=_memory()) as name:
        folder = Path(name)
        clock = jumping_clock.JumpingClock(folder / "clock")
        clock.step(BEGIN - clock.now())
        os.environ.update(clock.env)
        jumping_clock.install(clock.place, everywhere=False)
        from tests.soak.simulation import simulate  # its modules get the clock

        return simulate(
            folder, clock, asked.days, asked.seed, asked.fault, disk=apart and disks.can_mount(disks.small_disk)
        )


def _memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


if __name__ == "__main__":
    sys.exit(main())
