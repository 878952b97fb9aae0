"""The units of systemd for the nightly backup name a real command, each other, and are on the page."""

from __future__ import annotations

import shlex
from configparser import ConfigParser

import click

from server.cli import cli
from tests.support import ROOT

DEPLOY = ROOT / "deploy"
PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")


def unit(name: str) -> ConfigParser:
    parser = ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string((DEPLOY / name).read_text(encoding="utf-8"))
    return parser


def test_the_service_runs_a_backup_of_its_data_folder() -> None:
    file = unit("headcount-backup.service")
    service = file["Service"]
    program, command, folder = shlex.split(service["ExecStart"])
    assert program.endswith("/headcount")
    found = cli.get_command(click.Context(cli), command)
    assert found
    assert [each.name for each in found.params if isinstance(each, click.Argument)] == ["folder"]
    data = service["Environment"].partition("HEADCOUNT_DATA_DIR=")[2]
    writable = service["ReadWritePaths"].split()
    assert data in writable
    assert any(folder.startswith(f"{each}/") for each in writable)
    assert service["User"] == "headcount"
    mounts = file["Unit"]["RequiresMountsFor"].split()
    assert all(any(f"{each}/".startswith(f"{mount}/") for mount in mounts) for each in (data, folder))


def test_the_timer_starts_the_service_and_both_are_on_the_page() -> None:
    timer = unit("headcount-backup.timer")
    assert "Unit" not in timer["Timer"]  # so it starts the service of its own name
    assert timer["Install"]["WantedBy"] == "timers.target"
    assert timer["Timer"]["OnCalendar"].split()[1][:5] in PAGE
    assert {name for name in ("headcount-backup.service", "headcount-backup.timer") if name in PAGE} == {
        path.name for path in DEPLOY.glob("headcount-backup.*")
    }
