"""The line of docs/cli.md lets a real bash complete commands, options and choices."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
LINES = {
    shell: line for line, shell in re.findall(r"^    (.*_HEADCOUNT_COMPLETE=(\w+)_source .*)$", PAGE, re.MULTILINE)
}
"""The line of each shell."""

ASK = """
set -eu
%(line)s
function=$(complete -p headcount | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
COMP_WORDS=(%(words)s)
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
$function headcount
printf '%%s\\n' "${COMPREPLY[@]}"
"""
"""Bash calls the function in this way when TAB is pressed after the words."""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Return a PATH on which the command `headcount` is first."""
    command = tmp_path / "headcount"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m headcount "$@"\n')
    command.chmod(0o755)
    return f"{tmp_path}:/usr/bin:/bin"


def completed(path: str, *words: str) -> list[str]:
    script = ASK % {"line": LINES["bash"], "words": shlex.join(["headcount", *words])}
    env = {"PATH": path, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        ["bash", "--norc", "-c", script], env=env, capture_output=True, text=True, check=True, timeout=60
    )
    return ran.stdout.split()


def test_the_page_has_a_line_for_each_shell() -> None:
    assert LINES.keys() == {"bash", "zsh", "fish"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("ten",), ["tenant"]),
        (("import", "a"), ["approve"]),
        (("token", "create", "--op"), ["--operator"]),
        (("token", "create", "acme", "--role", "v"), ["viewer"]),
        (("--v",), ["--version"]),
    ],
)
def test_bash_completes_commands_options_and_choices(path: str, words: tuple[str, ...], expected: list[str]) -> None:
    assert completed(path, *words) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_command_prints_a_completion_for_each_shell(path: str, shell: str) -> None:
    env = {"PATH": path, "PYTHONPATH": str(ROOT), "_HEADCOUNT_COMPLETE": f"{shell}_source"}
    ran = subprocess.run(["headcount"], env=env, capture_output=True, text=True, check=True, timeout=60)
    assert f"_HEADCOUNT_COMPLETE={shell}_complete" in ran.stdout
