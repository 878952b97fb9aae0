"""Ask the doctor in tests, and do what it says."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import ROOT, nursery
from tests.support.operating import at, commands
from tests.support.server_process import ServerProcess

OTHER = 12345
"""A user of the system that is not root."""

SHELL = set("|&;<>()$`*?[~")
"""Some of these characters are in each command of Headcount that needs a shell."""
SCRIPT = f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m server "$@"\n'


def diagnosed(server: ServerProcess) -> list[dict[str, Any]]:
    """Return the findings, and check that the exit code fits them."""
    ran = server.cli("doctor", "--json", check=False)
    findings: list[dict[str, Any]] = ran.json
    assert all(each.keys() == {"tenant", "file", "severity", "what", "do"} for each in findings)
    assert ran.code == any(each["severity"] != "notice" for each in findings)
    return findings


def places(server: ServerProcess) -> list[tuple[str | None, str, str]]:
    """Return the tenant, the path in the data folder and the severity of each finding."""
    root = str(server.data)
    return [
        (each["tenant"], each["file"].removeprefix(root).removeprefix("/"), each["severity"])
        for each in diagnosed(server)
    ]


def is_well(server: ServerProcess) -> bool:
    """Return whether the doctor finds nothing."""
    ran = server.cli("doctor", check=False)
    assert ran.text.endswith("\n")
    return (ran.code, ran.text) == (0, f"Found well: {server.data}\n")


def obey(server: ServerProcess, do: str, **words: str) -> None:
    """Run the command at the end of `do` as an operator does, with `words` in the place of the words in capitals.

    The data folder of the operator's shell is another one. A command of Headcount that needs no shell gets none.
    """
    command = do.rpartition(": ")[2]
    for word, meant in words.items():
        command = command.replace(word, meant)
    env = {**os.environ, **server.env, "HEADCOUNT_DATA_DIR": str(server.folder / "elsewhere")}
    program, *arguments = shlex.split(command)
    if program == "headcount" and not set(command) & SHELL:
        done = nursery.ran(arguments, env, 60)
    else:
        done = _by_shell(server, command, env)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert not (server.folder / "elsewhere").exists()


def _by_shell(server: ServerProcess, command: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    script = server.folder / "bin" / "headcount"
    script.parent.mkdir(exist_ok=True)
    script.write_text(SCRIPT)
    script.chmod(0o700)
    env["PATH"] = f"{script.parent}:{env['PATH']}"
    return subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True, check=False, timeout=60)


def restore_part(server: ServerProcess, backup: Path, part: str) -> None:
    """Do what "Restore a part" in docs/operating.md says, for this path in the data folder, as this user.

    Nothing is moved away if nothing is there. The doctor is not asked.
    """
    target = server.data / part
    for line in commands("Restore a part"):
        line = re.sub("/var/lib/headcount/tenants/acme/$", f"{target.parent}/", line)
        line = line.replace("tenants/acme/users.db", part)
        line = at(line, {"/var/lib/headcount": server.data, "/mnt/backup/headcount": backup})
        line = line.replace("sudo -u headcount ", "").replace("-o headcount", f"-o {os.geteuid()}")
        is_there = any(target.parent.glob(f"{target.name}*"))
        if not line.endswith("doctor") and (is_there or not line.startswith("mv")):
            obey(server, line)
    shutil.rmtree(server.folder / "data-damaged")


@contextmanager
def of_another_user(server: ServerProcess) -> Iterator[Path]:
    """Yield a copy of the data folder that belongs to OTHER, where that user can reach it."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        data = Path(folder) / "data"
        shutil.copytree(server.data, data, symlinks=True)
        for place, _, names in os.walk(data):
            for path in (place, *(os.path.join(place, name) for name in names)):
                os.chown(path, OTHER, -1)
        yield data
