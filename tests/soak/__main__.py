"""`python -m tests.soak --days 365 --seed 1`: simulate days of operation, and compare each with a plain model.

It exits with 1 at the first day with a difference, and says how to run it again.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.support import disks, jumping_clock


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--fault", choices=("", "user", "file", "import"), default="", help="damage the data on the last day"
    )
    asked = parser.parse_args()
    apart = os.geteuid() == 0 and disks.stand_apart()
    with tempfile.TemporaryDirectory(prefix="soak-", dir=_memory()) as name:
        folder = Path(name)
        clock = jumping_clock.JumpingClock(folder / "clock")
        os.environ[jumping_clock.PLACE] = str(clock.place)
        jumping_clock.install(clock.place, steady=False)
        from tests.soak.simulation import simulate  # its modules get the clock

        return simulate(
            folder, clock, asked.days, asked.seed, asked.fault, disk=apart and disks.can_mount(disks.small_disk)
        )


def _memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


if __name__ == "__main__":
    sys.exit(main())
