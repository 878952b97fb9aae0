"""A wheel, which `pip install .` builds, has every file that the server needs; no document is twice in the source."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from headcount.__main__ import PACKAGES
from server.web.pages.help.book import DOCS, TOPICS
from tests.support import ROOT
from tests.support.wheels import build_wheel

PROBE = "from server.web.pages.help.book import book, sample; print(*book(), len(sample()))"

HOOK = """
import sys
from headcount import Result, hook

@hook("/invoices/*.csv", name="invoices")
def invoices(delivery):
    return Result(" ".join(sys.modules[name].__file__ for name in ("headcount", "server", "ground")))
"""
RUN = """
import asyncio, sys
from pathlib import Path
from server.runs.python.pool import Code, Pool

async def main():
    sys.path.insert(0, "")
    facts = dict.fromkeys(("tenant", "hook", "path", "sha256"), "x") | dict.fromkeys(("copy", "reports"), "/")
    facts |= {"run_id": 1, "size": 1, "attempt": 1, "settings": {}, "uploaded_at": "2026-03-31T10:00:00Z"}
    pool = Pool({})
    print((await pool.deliver(Code("my_hooks", "invoices"), facts, 240, print)).message)
    await pool.close()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel and unpack it."""
    folder = tmp_path_factory.mktemp("wheel")
    wheel = build_wheel(folder)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def files(folder: Path, top: str) -> set[str]:
    """Return the files below `top` in `folder`, without compiled ones; links to folders are followed."""
    found, waiting = set(), [folder / top]
    while waiting:
        for each in waiting.pop().iterdir():
            if each.is_dir() and each.name != "__pycache__":
                waiting.append(each)
            elif each.is_file():
                found.add(each.relative_to(folder).as_posix())
    return found


@pytest.mark.parametrize("package", [*PACKAGES, "headcount"])
def test_a_wheel_has_every_file_of_a_package(unpacked: Path, package: str) -> None:
    assert sorted(files(ROOT, package) - files(unpacked, package)) == []


def test_the_help_of_a_wheel_is_rendered(unpacked: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROBE],
        env={"PYTHONPATH": str(unpacked), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=unpacked,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split()[:-1] == list(TOPICS)


def test_a_hook_of_the_current_folder_runs_with_a_wheel(unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "my_hooks.py").write_text(HOOK)
    ran = subprocess.run(
        [sys.executable, "-P", "-c", RUN],
        env={"PYTHONPATH": str(unpacked), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    found = [str(unpacked / name / "__init__.py") for name in ("headcount", "server", "ground")]
    assert ran.stdout.splitlines()[-1].split() == found


def test_the_documents_of_the_help_are_those_of_the_repository() -> None:
    assert DOCS.is_symlink()
    assert DOCS.resolve() == ROOT / "docs"
