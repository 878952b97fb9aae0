"""The commands of "In production" in README.md set up a server that works as the page says.

They run on a machine with systemd as process 1, which is a copy of this one: `tests.support.machine`. Only the
installation has a network, so that Caddy certifies the name itself.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from deploy.release.build import copy_source
from tests.support import ROOT
from tests.support.clients import MACHINE, MISSING, needs
from tests.support.machine import Machine
from tests.support.waiting import wait_until

pytestmark = needs("sftp", "ssh-keygen", "systemctl", MACHINE)

SOURCE = "/root/source-of-headcount"
NAME = "files.localhost"
"""In place of files.example.com. Caddy issues certificates for such names itself."""
KEY = "/root/key-of-headcount"
SFTP = f"sftp -q -b - -i {KEY} -F /dev/null -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no"
HEADCOUNT = "sudo -u headcount headcount --data-dir /var/lib/headcount"
HARDENED = "umask 077\n"
"""Root may have such a mask. The server and the others still have to read what is theirs."""
PEOPLE = "first_name,last_name,email\nAnn,Ash,ann@acme.example\nBen,Birch,ben@acme.example\n"
START_S = 180


def commands() -> dict[str, str]:
    """Return the commands of the section by the bold words that introduce them, in their order."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    section = page.partition("\n## In production\n")[2].partition("\n## ")[0]
    found: dict[str, str] = {}
    title = ""
    for line in section.splitlines():
        if bold := re.match(r"\*\*(.+?)\.?\*\*", line):
            title = bold[1]
        elif line.startswith("    "):
            found[title] = f"{found.get(title, '')}{line[4:]}\n"
    return found


COMMANDS = commands()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, dict[str, str]]]:
    """Run all commands of the page on a machine, and yield it with what each part of the page printed."""
    folder = tmp_path_factory.mktemp("production")
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, "tzdata"]
    if subprocess.run(download, capture_output=True, check=False).returncode:
        pytest.skip(f"{MISSING}a network with PyPI and Debian's packages")
    with Machine(folder / "machine") as machine:
        source = machine.path(SOURCE)
        copy_source(source)
        for name in ("service.env", "Caddyfile"):
            file = source / "deploy" / name
            file.write_text(file.read_text(encoding="utf-8").replace("files.example.com", NAME), encoding="utf-8")
        machine.run(f"ssh-keygen -q -t ed25519 -N '' -f {KEY} && cp {KEY}.pub {SOURCE}/hr.pub")
        printed = {
            title: machine.run(HARDENED + script, at=SOURCE, online=title == "Install").stdout
            for title, script in COMMANDS.items()
        }
        yield machine, printed


Installed = tuple[Machine, dict[str, str]]


def shown(machine: Machine, unit: str, *names: str) -> list[str]:
    """Return properties of a unit."""
    output = machine.run(f"systemctl show {unit} --property={','.join(names)}").stdout
    found = dict(line.partition("=")[::2] for line in output.splitlines())
    return [found[name] for name in names]


def put(machine: Machine, content: str, path: str) -> None:
    machine.path("/root/upload").write_text(content)
    machine.run(f"echo put /root/upload {path} | {SFTP} -P 2222 acme@127.0.0.1")


def ready(machine: Machine) -> bool:
    return machine.run("curl -fsS http://127.0.0.1:8080/readyz", check=False).returncode == 0


def test_the_service_starts_with_the_machine_and_runs_in_its_sandbox(machine: Installed) -> None:
    booted, printed = machine
    assert '"ready":true' in printed["Run"]
    booted.run("systemctl is-enabled headcount headcount-backup.timer caddy prometheus")
    (main,) = shown(booted, "headcount", "MainPID")
    status = dict(
        re.findall(r"^(\w+):\t(.+)$", booted.path(f"/proc/{main}/status").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert int(status["CapBnd"], 16) == int(status["CapEff"], 16) == 0
    assert "0" not in status["Uid"].split()
    assert booted.run("stat -c '%U %a' /var/lib/headcount /etc/headcount/headcount.env").stdout.split() == [
        *("headcount", "700", "root", "600")
    ]


def test_the_page_is_served_with_tls_and_metrics_are_not(machine: Installed) -> None:
    booted, _ = machine
    authority = "/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt"
    wait_until(lambda: booted.path(authority).exists(), START_S, "Caddy to have its certificates")
    curl = f"curl --silent --cacert {authority} https://{NAME}"
    wait_until(lambda: "<form" in booted.run(f"{curl}/sign-in", check=False).stdout, START_S, "the page")
    assert booted.run(f"{curl}/metrics --output /dev/null --write-out '%{{http_code}}'").stdout == "404"


def test_the_first_company_sends_its_file_and_the_operator_signs_in(machine: Installed) -> None:
    booted, printed = machine
    put(booted, PEOPLE, "/sync_users.csv")
    assert json.loads(booted.run(f"{HEADCOUNT} import wait acme --json").stdout)["state"] == "completed"
    token = printed["Add the first company"].split()[-1]
    answer = booted.run(f"curl -fsS -H 'Authorization: Bearer {token}' http://127.0.0.1:8080/api/v1/tenants").stdout
    assert [each["name"] for each in json.loads(answer)["tenants"]] == ["acme"]


def test_the_backup_of_each_night_has_run_and_is_restored(machine: Installed) -> None:
    booted, printed = machine
    assert shown(booted, "headcount-backup.service", "Result", "ExecMainStatus") == ["success", "0"]
    assert shown(booted, "headcount-backup.timer", "ActiveState") == ["active"]
    assert "acme" in printed["Try a restore"]


def test_prometheus_scrapes_the_server_with_its_token_and_has_the_alerts(machine: Installed) -> None:
    booted, _ = machine

    def asked(path: str) -> Any:
        answer = booted.run(f"curl -fsS '127.0.0.1:9090/api/v1/{path}'", check=False).stdout
        return json.loads(answer)["data"] if answer else None

    def is_up() -> bool:
        targets = (asked("targets") or {"activeTargets": []})["activeTargets"]
        return [each["health"] for each in targets] == ["up"]

    wait_until(is_up, 2 * START_S, "Prometheus to scrape")
    assert asked("rules")["groups"]
    assert booted.run("curl -s 127.0.0.2:9090", check=False).returncode == 7  # connection refused


def test_a_hook_runs_in_the_sandbox_and_cannot_write_outside(machine: Installed) -> None:
    booted, _ = machine
    booted.path("/etc/headcount/hooks.toml").write_text(
        '[[hooks]]\nname = "look"\npath = "/look.csv"\ncommand = ["/etc/headcount/look.sh"]\n'
    )
    # The keeper of hooks reads /proc/loadavg: it kills a hook that forks without end.
    script = "#!/bin/sh\ncat > /tmp/copy; wc -c < /tmp/copy\ncat /proc/loadavg\ntouch /opt/file /etc/file; echo $?\n"
    booted.path("/etc/headcount/look.sh").write_text(script)
    booted.run("chmod 755 /etc/headcount/look.sh")
    booted.run("echo HEADCOUNT_HOOKS_FILE=/etc/headcount/hooks.toml >> /etc/headcount/headcount.env")
    booted.run("systemctl restart headcount")
    wait_until(lambda: ready(booted), START_S, "the server")
    put(booted, "12345", "/look.csv")
    report = booted.path("/var/lib/headcount/tenants/acme/files/results/look-1.output.txt")
    wait_until(report.exists, START_S, "the report of the hook")
    size, load, written = report.read_text(encoding="utf-8").splitlines()
    assert size == "5"
    assert load.count(" ") == 4
    assert written == "1"
    assert not booted.path("/tmp/copy").exists()  # its /tmp is its own


def test_the_service_listens_on_port_22_with_the_lines_of_the_page(machine: Installed) -> None:
    booted, _ = machine
    page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"^To listen on port 22,.+?```ini\n(.+?)```", page, re.MULTILINE | re.DOTALL)
    folder = booted.path("/etc/systemd/system/headcount.service.d")
    folder.mkdir()
    (folder / "override.conf").write_text(lines)
    booted.run("systemctl daemon-reload; systemctl restart headcount")
    wait_until(lambda: ready(booted), START_S, "the server")
    booted.run(f"echo ls | {SFTP} -P 22 acme@127.0.0.1")
    booted.run("systemctl revert headcount; systemctl restart headcount")
    wait_until(lambda: ready(booted), START_S, "the server")


def test_a_killed_service_starts_again_and_a_stop_ends_well(machine: Installed) -> None:
    booted, _ = machine
    booted.run("systemctl kill --signal=KILL headcount")
    wait_until(lambda: shown(booted, "headcount", "NRestarts") == ["1"], START_S, "a restart")
    wait_until(lambda: ready(booted), START_S, "the server")
    booted.run("systemctl stop headcount")
    assert shown(booted, "headcount", "Result", "ActiveState") == ["success", "inactive"]
