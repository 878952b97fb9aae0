"""A missing client is named at the end of a test run, and fails CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

QUICKLY = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""The run needs none of the installed plugins, and loading them takes most of its time."""
SKIPPING = """
from tests.support.clients import needs

@needs("no-such-client", "python3")
def test_with_a_missing_client(): pass

@needs("sh")
def test_with_one_we_have(): pass
"""


def run_pytest(folder: Path, source: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "--rootdir", folder]
    env = {**os.environ, **QUICKLY, "PYTHONPATH": str(ROOT), "NO_SKIPS": "", **environment}
    return subprocess.run([*command, folder], env=env, cwd=folder, capture_output=True, text=True, check=False)


def test_the_end_of_a_run_names_the_missing_clients(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, SKIPPING)
    assert run.returncode == 0, run.stdout
    closing = run.stdout.strip().splitlines()[-2:]
    assert closing[0] == "NOT TESTED: 1 skipped, because these clients are not installed: no-such-client"
    assert "1 passed, 1 skipped" in closing[1]


@pytest.mark.parametrize("source", [SKIPPING, "import pytest\ndef test_it(): pytest.skip('not today')\n"])
def test_a_skip_fails_a_run_that_forbids_skips(tmp_path: Path, source: str) -> None:
    run = run_pytest(tmp_path, source, NO_SKIPS="1")
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout
    assert "NO_SKIPS allows none" in run.stdout


def test_a_run_without_skips_does_not_mention_clients(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, "def test_it(): pass\n", NO_SKIPS="1")
    assert run.returncode == 0, run.stdout
    assert "skipped" not in run.stdout
