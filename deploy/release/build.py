"""Build Headcount's sdist and wheel, with man pages: `python -m deploy.release.build FOLDER`. No network is needed.

Both come from a copy of the source, so they have nothing of an earlier build. The wheel is built from the sdist: an
sdist without a file that the wheel needs is found.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.release.man_pages import write_man_pages
from headcount.__main__ import PACKAGES

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (*PACKAGES, "headcount", "deploy", "docs")
FILES = (
    *("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "MANIFEST.in", "Makefile", "README.md", "SECURITY.md"),
    *("pyproject.toml", "requirements-dev.lock", "requirements-postgres.lock", "requirements.lock"),
)
MAN = "man"
"""The folder of the man pages, as MANIFEST.in and pyproject.toml name it."""

SDIST = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"


def copy_source(folder: Path) -> Path:
    """Copy all that an sdist and a wheel are built from into `folder`, which is new, and return it."""
    folder.mkdir(parents=True)
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=unwanted)
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    return folder


def build(source: Path, folder: Path) -> tuple[Path, Path]:
    """Build an sdist of `source` into `folder`, and a wheel of the sdist. Return both files.

    Raises CalledProcessError, with the output of the failed step.
    """
    _run([sys.executable, "-c", SDIST, str(folder.absolute())], source)
    (sdist,) = folder.glob("headcount-*.tar.gz")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    _run([*pip, "--wheel-dir", str(folder.absolute()), str(sdist.absolute())], source)
    (wheel,) = folder.glob("headcount-*.whl")
    return sdist, wheel


def _run(command: list[str], folder: Path) -> None:
    ran = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300
    )
    if ran.returncode:
        sys.stderr.write(ran.stdout)
    ran.check_returncode()


def main() -> None:
    """Build into the folder that the first argument names, and print the names of both files."""
    with tempfile.TemporaryDirectory(prefix="headcount-") as place:
        source = copy_source(Path(place, "source"))
        write_man_pages(source / MAN)
        for file in build(source, Path(sys.argv[1])):
            print(f"Built {file}")


if __name__ == "__main__":
    main()
