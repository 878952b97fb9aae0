"""The command loads Headcount's packages, even if other packages have the same names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from headcount.__main__ import PACKAGES
from tests.support import ROOT

THEIRS = "raise SystemExit('another package was run')\n"
SCRIPT = "import sys\nfrom headcount.__main__ import main\nsys.exit(main())\n"
"""The script that pip creates from the entry in pyproject.toml."""


def run(*arguments: str, path: list[Path], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments, and with `path` before the installed packages."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, *arguments], env=env, cwd=cwd, capture_output=True, text=True, timeout=60)


def worked(ran: subprocess.CompletedProcess[str]) -> bool:
    return ran.returncode == 0 and ran.stdout.startswith("headcount ") and not ran.stderr


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with a copy of all packages, as an installation has them."""
    folder = tmp_path / "site-packages"
    for name in (*PACKAGES, "headcount"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_of_the_same_name_in_pythonpath_is_not_loaded(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text(THEIRS)
    assert worked(run("-m", "headcount", "--version", path=[tmp_path, ROOT], cwd=tmp_path))


@pytest.mark.parametrize("name", PACKAGES)
def test_a_module_of_the_same_name_in_the_current_folder_is_not_loaded(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text(THEIRS)
    assert worked(run("-m", "headcount", "--version", path=[ROOT], cwd=tmp_path))


def test_a_module_beside_the_script_is_not_loaded(tmp_path: Path, installed: Path) -> None:
    script = tmp_path / "bin" / "headcount"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    (script.parent / "server.py").write_text(THEIRS)
    assert worked(run(str(script), "--version", path=[installed], cwd=tmp_path))


def test_a_package_that_replaced_one_of_headcount_is_named(tmp_path: Path, installed: Path) -> None:
    (installed / "server" / "__init__.py").write_text(THEIRS)
    ran = run("-m", "headcount", "--version", path=[installed], cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == (
        f"Error: another package called server is in the way ({installed}/server/__init__.py);"
        " install Headcount into a virtual environment of its own\n"
    )


def test_a_package_without_its_init_file_is_named(tmp_path: Path, installed: Path) -> None:
    """This happens if another package was installed over it and then removed."""
    (installed / "keys" / "__init__.py").unlink()
    ran = run("-m", "headcount", "--version", path=[installed], cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert f"the package keys is missing from {installed}; install Headcount again" in ran.stderr


def test_a_missing_package_is_named(tmp_path: Path, installed: Path) -> None:
    shutil.rmtree(installed / "ground")
    ran = run("-m", "headcount", "--version", path=[installed], cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert f"the package ground is missing from {installed}; install Headcount again" in ran.stderr


def test_another_package_that_was_loaded_first_is_named(tmp_path: Path, installed: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "server.py").write_text("")
    (other / "sitecustomize.py").write_text("import server\n")
    ran = run("-m", "headcount", "--version", path=[other, installed], cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert f"another package called server is in the way ({other}/server.py)" in ran.stderr
