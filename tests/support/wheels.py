"""Headcount's wheel, built from this checkout without a network.

`python -m tests.support.wheels FOLDER` writes the wheel and `constraints.txt` into a folder, and with `--constraints
FOLDER` only the latter.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from deploy.release.build import copy_source
from tests.support import ROOT


def build_wheel(folder: Path) -> Path:
    """Build a wheel from a copy of the source, and return it. It and the copy are in `folder`."""
    source = copy_source(folder / "source")
    command = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index")
    subprocess.run([*command, "--wheel-dir", folder, source], check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("headcount-*.whl")
    return wheel


def write_constraints(folder: Path) -> Path:
    """Write the versions of requirements-dev.lock as constraints for pip, without hashes: the wheel has none."""
    locked = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    file = folder / "constraints.txt"
    file.write_text("".join(f"{line}\n" for line in re.findall(r"^([a-z][\w.-]*==[^ \\]+)", locked, re.MULTILINE)))
    return file


if __name__ == "__main__":
    if sys.argv[1] != "--constraints":
        build_wheel(Path(sys.argv[1]))
    write_constraints(Path(sys.argv[-1]))
