"""A virtual environment with one wheel and the packages that it needs, and no others, made without a network.

The packages are those of this environment, by links. Packages that the wheel does not declare are not there.
"""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def lone_environment(folder: Path, wheel: Path) -> Path:
    """Make the environment in `folder`, and return the folder of its commands."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--no-compile", str(wheel)], check=True, timeout=120)
    (packages,) = folder.glob("lib/python*/site-packages")
    (installed,) = metadata.distributions(path=[str(packages)])
    for name in needed(installed):
        link(metadata.distribution(name), packages)
    return python.parent


def needed(installed: metadata.Distribution) -> set[str]:
    """Return the names of all packages that a package needs, without extras, and that these need in turn."""
    found: set[tuple[str, str]] = set()
    waiting = required(installed, "")
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting |= required(metadata.distribution(each[0]), each[1])
    return {name for name, _ in found}


def required(package: metadata.Distribution, extra: str) -> set[tuple[str, str]]:
    """Return what a package requires itself, for one of its extras or none: names, each with an extra or "" ."""
    wanted = [Requirement(each) for each in package.requires or ()]
    applies = [each for each in wanted if each.marker is None or each.marker.evaluate({"extra": extra})]
    return {(canonicalize_name(each.name), extra) for each in applies for extra in ("", *each.extras)}


def link(package: metadata.Distribution, packages: Path) -> None:
    """Link the folders and modules of a package into the folder `packages`."""
    for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
        place = packages / top
        if not place.exists():
            place.symlink_to(Path(str(package.locate_file(top))))
