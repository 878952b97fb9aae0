"""The sdist and the wheel of `make dist`: what is in them, and that they run with nothing but what they declare."""

from __future__ import annotations

import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import click
import pytest

from deploy.release.build import MAN, build, copy_source
from deploy.release.check import check
from deploy.release.man_pages import contexts, readable, write_man_pages
from headcount import __version__
from headcount.__main__ import PACKAGES
from server.cli import cli
from tests.support import ROOT
from tests.support.clients import MISSING, client, needs
from tests.support.lone import lone_environment
from tests.unit.cli.test_cli_help import COMMANDS, opening

PAGE = ".TH HEADCOUNT 1\n.SH NAME\nheadcount \\- a page\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build both, with one man page: those of the commands need a package that few environments have."""
    folder = tmp_path_factory.mktemp("dist")
    source = copy_source(folder / "source")
    (source / MAN).mkdir()
    (source / MAN / "headcount.1").write_text(PAGE, encoding="utf-8")
    return build(source, folder)


def files(top: str) -> set[str]:
    """Return the tracked files below a folder of the checkout."""
    listed = subprocess.run(["git", "ls-files", top], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {*listed.splitlines()}


def in_sdist(sdist: Path) -> set[str]:
    with tarfile.open(sdist) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def in_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {*archive.namelist()}


def test_both_have_the_version_in_their_names(built: tuple[Path, Path]) -> None:
    assert [file.name for file in built] == [
        f"headcount-{__version__}.tar.gz",
        f"headcount-{__version__}-py3-none-any.whl",
    ]


@pytest.mark.parametrize("top", [*PACKAGES, "headcount", "deploy", "docs", "CHANGELOG.md", "LICENSE", "MANIFEST.in"])
def test_the_sdist_has_every_file_of_the_source(built: tuple[Path, Path], top: str) -> None:
    of_source = {name for name in files(top) if not (ROOT / name).is_dir()}
    assert of_source
    assert of_source - in_sdist(built[0]) == set()


@pytest.mark.parametrize("top", [*PACKAGES, "headcount"])
def test_the_wheel_of_the_sdist_has_every_file_of_the_packages(built: tuple[Path, Path], top: str) -> None:
    of_source = {name for name in files(top) if not (ROOT / name).is_dir()}
    assert of_source - in_wheel(built[1]) == set()


def test_an_installed_wheel_serves_with_only_the_packages_that_it_declares(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    commands = lone_environment(tmp_path / "venv", built[1])
    assert check(commands / "headcount") == f"headcount {__version__}"
    assert (tmp_path / "venv" / "share" / "man" / "man1" / "headcount.1").read_text(encoding="utf-8") == PAGE
    ran = subprocess.run([commands / "python", "-c", "import pytest"], capture_output=True, text=True, check=False)
    assert "No module named 'pytest'" in ran.stderr


def test_every_command_has_its_man_page_with_its_whole_opening() -> None:
    found = {context.command_path: context.command for context in contexts(readable(cli), "headcount")}
    assert {name: f"{each.short_help}." for name, each in found.items()} == {
        name: opening(each) for name, each in COMMANDS.items()
    }


def test_the_commands_themselves_are_not_changed_for_man_pages() -> None:
    readable(cli)
    assert not cli.commands
    assert all(command.short_help is None for command in COMMANDS.values())
    assert isinstance(cli, click.Group)


@needs("man")
def test_man_shows_every_page_without_a_warning_and_each_reference_leads_to_a_page(tmp_path: Path) -> None:
    pytest.importorskip("click_man", reason=f"{MISSING}click-man (make test)")
    write_man_pages(tmp_path)
    pages = {file.stem: file for file in tmp_path.glob("*.1")}
    assert pages.keys() == {name.replace(" ", "-") for name in COMMANDS}
    for name, page in pages.items():
        ran = subprocess.run(
            [client("man"), "--warnings", "--encoding=UTF-8", "--local-file", page],
            env={"MANWIDTH": "100", "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        assert ran.stderr == ""
        assert f"Headcount {__version__}" in ran.stdout
        assert f"{name} - " in ran.stdout
        assert {*re.findall(r"\\fB([\w-]+)\(1\)", page.read_text(encoding="utf-8"))} <= pages.keys()
