"""systemd accepts the units of deploy/, and finds the service well protected; tests of a running service are in
test_in_production.py."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from server.settings import ServerSettings
from tests.support import ROOT
from tests.support.clients import client, needs

pytestmark = needs("systemd-analyze")

DEPLOY = ROOT / "deploy"
SERVICES = ("headcount.service", "headcount-backup.service")
SERVICE = (DEPLOY / "headcount.service").read_text(encoding="utf-8")
MOST_EXPOSURE = 1.5


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [client("systemd-analyze"), "--no-pager", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def version() -> int:
    return int(analyze("--version").stdout.split()[1])


def verified(folder: Path, change: dict[str, str]) -> str:
    """Return what systemd says about the units. Their program is not here, so it is replaced."""
    for file in DEPLOY.glob("headcount*.[st]*"):
        text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for old, new in change.items():
            text = text.replace(old, new)
        (folder / file.name).write_text(text, encoding="utf-8")
    ran = analyze("verify", *(str(file) for file in folder.iterdir()))
    return f"{ran.returncode} {ran.stdout}{ran.stderr}"


def test_systemd_accepts_every_line_of_the_units(tmp_path: Path) -> None:
    assert verified(tmp_path, {}) == "0 "


def test_systemd_names_a_line_that_it_does_not_know(tmp_path: Path) -> None:
    assert "PrivateTemp" in verified(tmp_path, {"PrivateTmp=": "PrivateTemp="})


def test_a_newer_systemd_accepts_the_growing_waits_too(tmp_path: Path) -> None:
    said = verified(tmp_path, {"#RestartSteps": "RestartSteps", "#RestartMaxDelaySec": "RestartMaxDelaySec"})
    assert (said == "0 ") == (version() >= 254)


@pytest.mark.parametrize("name", SERVICES)
def test_systemd_finds_the_services_well_protected(name: str) -> None:
    ran = analyze("security", "--offline=true", f"--threshold={int(MOST_EXPOSURE * 10)}", str(DEPLOY / name))
    assert ran.returncode == 0, ran.stdout
    (exposure,) = re.findall(r"Overall exposure level for \S+: (\d\.\d)", ran.stdout)
    assert float(exposure) <= MOST_EXPOSURE


def test_a_stop_may_take_longer_than_the_server_needs() -> None:
    stop_grace_s = ServerSettings.model_fields["stop_grace_s"].default
    (longest,) = re.findall(r"^TimeoutStopSec=(\d+)$", SERVICE, re.MULTILINE)
    assert int(longest) >= 1.5 * stop_grace_s


def test_every_variable_of_the_service_is_a_setting() -> None:
    text = (DEPLOY / "service.env").read_text(encoding="utf-8")
    names = re.findall(r"^(?:#|Environment=)?HEADCOUNT_(\w+)=", f"{SERVICE}{text}", re.MULTILINE)
    assert len(names) >= 6
    assert {name.lower() for name in names} <= ServerSettings.model_fields.keys()
