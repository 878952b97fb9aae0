"""The real clients the tests drive, and what happens to a test whose client is not installed.

A test that uses one says so: `@needs("rclone")`. Without it the test is skipped, and the end of the run says so in a
line of its own, with the package of Debian that brings it; where nothing may be skipped (HEADCOUNT_NO_SKIPS=1) a skip
fails the run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache

import pytest

MISSING = "client not installed: "
"""How the reason of such a skip begins; the names follow, separated by commas."""

BESIDE_THE_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
"""sshd is not on an ordinary user's PATH."""


def find_client(name: str) -> str | None:
    """The full path of the program `name`, None if it is not installed. (sshd must be started by its full path.)"""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{BESIDE_THE_PATH}")


def client(name: str) -> str:
    """The full path of the program `name`. Only for tests that declared it with `needs`."""
    path = find_client(name)
    if path is None:
        raise LookupError(f"{name} is not installed: mark the test with needs({name!r})")
    return path


CURL = "curl with SFTP"
DRIVER = "Playwright's driver"
"""Two that are more than a program of that name: see `_is_there`."""

PACKAGES: dict[str, str | None] = {
    **dict.fromkeys(("chromium", "lftp", "rclone")),
    **dict.fromkeys(("scp", "sftp", "ssh", "ssh-keygen"), "openssh-client"),
    "sshd": "openssh-server",
    CURL: "curl",
    DRIVER: "libatomic1",
}
"""The package of Debian that brings each (None: it is called the same)."""


def needs(*names: str) -> pytest.MarkDecorator:
    """A mark for tests that drive these programs: they are skipped where one is missing.

    Works as a decorator, as `pytestmark` of a module, and as `marks=` of a parameter.
    """
    all_names = [*names, *([DRIVER] if "chromium" in names else [])]
    missing = [_with_package(name) for name in all_names if not _is_there(name)]
    return pytest.mark.skipif(bool(missing), reason=MISSING + ", ".join(missing or names))


@cache
def _is_there(name: str) -> bool:
    if name == CURL:
        return find_client("curl") is not None and "sftp" in _output_of(client("curl"), "--version")
    if name == DRIVER:
        # Its own Node.js, which some libraries must be there for: else the first page ends in a traceback.
        from playwright._impl._driver import compute_driver_executable

        return _output_of(compute_driver_executable()[0], "--version").startswith("v")
    return find_client(name) is not None


def _output_of(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _with_package(name: str) -> str:
    return f"{name} (Debian: {PACKAGES[name] or name})" if name in PACKAGES else name
