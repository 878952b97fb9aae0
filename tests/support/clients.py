"""The real clients the tests drive, and what happens to a test whose client is not installed.

A test that uses one says so: `@needs("rclone")`. Without it the test is skipped, and the end of the run says so in a
line of its own; where nothing may be skipped (HEADCOUNT_NO_SKIPS=1) a skip fails the run.
"""

from __future__ import annotations

import os
import shutil

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


def needs(*names: str) -> pytest.MarkDecorator:
    """A mark for tests that drive these programs: they are skipped where one is missing.

    Works as a decorator, as `pytestmark` of a module, and as `marks=` of a parameter.
    """
    missing = [name for name in names if find_client(name) is None]
    return pytest.mark.skipif(bool(missing), reason=MISSING + ", ".join(missing or names))
