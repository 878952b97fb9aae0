"""An installation has every package of the source, and a command that checks them."""

from __future__ import annotations

import tomllib

import pytest

from headcount.__main__ import MARK, PACKAGES
from tests.support import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
INSTALLED = PROJECT["tool"]["setuptools"]["packages"]


def test_every_package_is_installed() -> None:
    tops = {name.partition(".")[0] for name in INSTALLED}
    assert tops == {*PACKAGES, "headcount"}
    found = {
        ".".join(file.parent.relative_to(ROOT).parts) for top in tops for file in (ROOT / top).rglob("__init__.py")
    }
    assert found == set(INSTALLED)


def test_the_command_is_the_one_that_loads_its_own_packages() -> None:
    assert PROJECT["project"]["scripts"] == {"headcount": "headcount.__main__:main"}


@pytest.mark.parametrize("name", PACKAGES)
def test_every_package_has_the_mark_of_headcount(name: str) -> None:
    assert MARK in (ROOT / name / "__init__.py").read_text(encoding="utf-8").splitlines()
