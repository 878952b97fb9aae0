"""The suites: how to get each one, how to run it against the server, and the outcomes of its tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

from tests.peers.meeting import Meeting
from tests.support import ROOT

HERE = ROOT / "tests" / "peers"
Outcome = tuple[str, str, str]
"""The name of a test, `pass`, `fail` or `skip`, and its message."""


class UnavailableError(Exception):
    """The suite, or a program that it needs, is not on this machine and cannot be downloaded."""


def fetched(*command: str | Path, folder: Path) -> None:
    """Run a command that downloads or unpacks files into `folder`."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UnavailableError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


# paramiko


def paramiko(meeting: Meeting, work: Path) -> Iterator[Outcome]:
    """Run the SFTP tests of the installed version; they come with its source."""
    source = f"paramiko=={version('paramiko')}"
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", source)
    fetched(*pip, folder=work)
    fetched("tar", "xf", *work.glob("paramiko-*.tar.gz"), folder=work)
    (source_folder,) = (path for path in work.glob("paramiko-*") if path.is_dir())
    tests = source_folder / "tests"
    shutil.copy(HERE / "paramiko_conftest.py", tests / "conftest.py")
    report = work / "paramiko.xml"
    where = {"PEER_HOST": meeting.host, "PEER_PORT": str(meeting.port), "PEER_KEY_FILE": str(meeting.key_file)}
    subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:xdist", "-p", "no:asyncio", "-p", "no:cacheprovider",
         "-c", os.devnull, f"--rootdir={source_folder}", f"--junitxml={report}",
         tests / "test_sftp.py", tests / "test_sftp_big.py"],
        cwd=source_folder, env={**os.environ, **where}, stdout=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    if not report.exists():
        raise UnavailableError("its tests did not run")
    for case in ElementTree.parse(report).iter("testcase"):
        words = {"failure": "fail", "error": "fail", "skipped": "skip"}
        found = next((child for child in case if child.tag in words), None)
        said = "" if found is None else found.get("message") or ""
        yield case.get("name") or "", "pass" if found is None else words[found.tag], said


# OpenSSH

SCRIPTS = ("sftp", "sftp-batch", "sftp-cmds", "sftp-badcmds", "sftp-glob", "sftp-uri")
"""The scripts for the client. The others test options of OpenSSH's server."""


def openssh(meeting: Meeting, work: Path) -> Iterator[Outcome]:
    """Run the regression tests of OpenSSH's client, with an outcome for each step; they come with Debian's source."""
    source_package(work, "openssh")
    fetched("sh", "-c", "tar xf openssh_*.orig.tar.gz", folder=work)
    (regress,) = work.glob("openssh-*/regress")
    programs = meeting.files / "bin"
    programs.mkdir(exist_ok=True)
    for name in ("ln", "ls"):
        shutil.copy(f"/bin/{name}", programs)
    config = f"Host *\nHostName {meeting.host}\n" + "".join(
        f"{option.replace('=', ' ', 1)}\n"
        for option in meeting.ssh
        if "=" in option and not option.startswith("Port")
    )
    for script in SCRIPTS:
        (meeting.folder / "ssh_config").write_text(config)
        env = {"SFTPSERVER": str(meeting.sftp_server), "USER": "acme", "PORT": str(meeting.port)}
        done = subprocess.run(
            ["sh", HERE / "openssh.sh", meeting.folder, regress / f"{script}.sh"],
            env={**os.environ, **env}, cwd=meeting.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        for step in done.stdout.split("STEP: ")[1:]:
            name, *said = step.splitlines()
            failed = [line for line in said if line.startswith("FAIL: ")]
            yield name, "skip" if "(skipped" in name else "fail" if failed else "pass", "; ".join(failed)


def source_package(work: Path, name: str) -> None:
    """Download a source package of Debian with separate package lists: those of the machine do not change."""
    machine = Path("/etc/apt")
    deb822 = "\n".join(path.read_text() for path in (machine / "sources.list.d").glob("*.sources"))
    one_line = "".join(path.read_text() for path in (machine / "sources.list",) if path.exists())
    (work / "own.sources").write_text(re.sub(r"^Types:.*", "Types: deb-src", deb822, flags=re.MULTILINE))
    (work / "own.list").write_text(re.sub(r"^deb ", "deb-src ", one_line, flags=re.MULTILINE))
    for part in ("lists", "cache"):
        (work / part).mkdir()
    own = {"Dir::Etc::sourcelist": "-", "Dir::Etc::sourceparts": work, "Dir::State::lists": work / "lists",
           "Dir::Cache": work / "cache", "APT::Sandbox::User": "root"}  # fmt: skip
    options = [f"--option={key}={value}" for key, value in own.items()]
    fetched("apt-get", *options, "-qq", "update", folder=work)
    fetched("apt-get", *options, "-qq", "source", "--download-only", name, folder=work)


# pkg/sftp of Go

GO = Path("/usr/share/gocode")


def pkg_sftp(meeting: Meeting, work: Path) -> Iterator[Outcome]:
    """Run the integration tests of Go's client, from Debian's package of its source."""
    package = GO / "src" / "github.com" / "pkg" / "sftp"
    if shutil.which("go") is None or not (package / "client_integration_test.go").exists():
        raise UnavailableError(
            "Debian: apt install golang-go golang-github-pkg-sftp-dev golang-github-stretchr-testify-dev"
        )
    env = {
        "GO111MODULE": "off",
        "CGO_ENABLED": "0",
        "GOPATH": str(GO),
        "GOCACHE": str(work / "go"),
        "TMPDIR": str(meeting.folder),
    }
    arguments = ["-integration", "-sftp", str(meeting.sftp_server)]
    done = subprocess.run(
        ["go", "test", "-v", "github.com/pkg/sftp", "-timeout", "10m", "-args", *arguments],
        cwd=meeting.folder, env={**os.environ, **env}, umask=0o022, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.findall(r"^--- (PASS|FAIL|SKIP): (\w+)", done.stdout, re.MULTILINE)
    if not found:
        raise UnavailableError(done.stdout + done.stderr)
    for outcome, name in found:
        yield name, outcome.lower(), ""
    if "\npanic: " in done.stdout:
        yield "ends without a panic", "fail", done.stdout.partition("\npanic: ")[2].splitlines()[0]


SUITES: dict[str, Callable[[Meeting, Path], Iterator[Outcome]]] = {
    "paramiko": paramiko,
    "openssh": openssh,
    "pkg/sftp": pkg_sftp,
}
