"""`make audit` says what is known of the packages, or that nothing could be found out; `make dist` lists them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from deploy.release.audit import NONE, SOME, UNKNOWN, VULNERABLE, audit
from deploy.release.sbom import LOCK, as_json, pinned
from headcount import __version__
from tests.support import ROOT
from tests.support.clients import MISSING

TEXT = LOCK.read_text(encoding="utf-8")
IN_LOCK = dict(re.findall(r"^([a-z][\w.-]*)==([^ \\\n]+)", TEXT, re.MULTILINE))
SMALL_LOCK = """\
click==8.5.1 \\
    --hash=sha256:00
    # via headcount
rich==15.0.0 ; sys_platform == 'linux' \\
    --hash=sha256:00
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:00
"""

Answer = Callable[[str, str], tuple[int, str]]
"""The answer of the service about a package and version: a status and a body."""
Serve = Callable[[Answer], list[str]]
"""Serves such answers, and returns the options that let pip-audit ask for them."""
Printed = pytest.CaptureFixture[str]


def vulnerability(name: str) -> str:
    """Return an answer of OSV with one vulnerability of a package."""
    affected = {"package": {"name": name, "ecosystem": "PyPI"}, "ranges": []}
    return json.dumps({"vulns": [{"id": "PYSEC-2026-1", "details": "A fault.", "affected": [affected]}]})


@pytest.fixture
def service() -> Iterator[Serve]:
    """Serve OSV's query on loopback; return the options that let pip-audit ask there."""
    pytest.importorskip("pip_audit", reason=f"{MISSING}pip-audit (make test)")
    servers: list[ThreadingHTTPServer] = []

    def serve(answer: Answer) -> list[str]:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert query["package"]["ecosystem"] == "PyPI"
                status, body = answer(query["package"]["name"], query["version"])
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
                pass

        servers.append(server := ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return ["--osv-url", f"http://127.0.0.1:{server.server_port}/v1/query"]

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    file = tmp_path / "requirements.lock"
    file.write_text(SMALL_LOCK, encoding="utf-8")
    return file


def with_faults(*names: str) -> Answer:
    return lambda name, _: (200, vulnerability(name) if name in names else "{}")


def test_an_audit_without_a_finding_has_asked_for_every_package(service: Serve, lock: Path, capsys: Printed) -> None:
    asked = []

    def answer(name: str, version: str) -> tuple[int, str]:
        asked.append((name, version))
        return 200, vulnerability(name) if (name, version) == VULNERABLE else "{}"

    assert audit(lock, service(answer)) == NONE == 0
    assert sorted(asked) == sorted([("click", "8.5.1"), ("rich", "15.0.0"), VULNERABLE])
    assert "2 packages, 0 with known vulnerabilities" in capsys.readouterr().out


def test_an_audit_names_a_known_vulnerability_and_exits_with_1(service: Serve, lock: Path, capsys: Printed) -> None:
    assert audit(lock, service(with_faults(VULNERABLE[0], "rich"))) == SOME == 1
    assert "rich 15.0.0: PYSEC-2026-1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda name, version: (200, "{}"), "does not know the vulnerabilities"),
        (lambda name, version: (500, "{}"), ""),
        (lambda name, version: (200, "<html>Sign in to the network</html>"), ""),
        (lambda name, version: (200, vulnerability(name)) if name == VULNERABLE[0] else (503, ""), ""),
    ],
    ids=["knows nothing", "fails", "another page", "fails later"],
)
def test_an_audit_whose_service_gives_no_usable_answer_exits_with_2(
    service: Serve,
    lock: Path,
    capsys: Printed,
    answer: Answer,
    reason: str,
) -> None:
    assert audit(lock, service(answer)) == UNKNOWN == 2
    said = capsys.readouterr()
    assert f"{lock} was not checked: " in said.err
    assert reason in said.err
    assert said.out == ""


def test_an_audit_without_its_service_exits_with_2(lock: Path) -> None:
    pytest.importorskip("pip_audit", reason=f"{MISSING}pip-audit (make test)")
    command = [sys.executable, "-m", "deploy.release.audit", lock, "--osv-url", "http://127.0.0.1:1/v1/query"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == UNKNOWN
    assert "was not checked" in ran.stderr


@pytest.mark.parametrize("content", [None, "", "click 8.5.1\n"], ids=["absent", "empty", "not a lock"])
def test_an_audit_of_a_file_that_is_not_a_lock_exits_with_2(tmp_path: Path, content: str | None) -> None:
    lock = tmp_path / "requirements.lock"
    if content is not None:
        lock.write_text(content, encoding="utf-8")
    command = [sys.executable, "-m", "deploy.release.audit", lock]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == UNKNOWN
    assert "was not checked" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_list_of_a_release_has_its_version_and_every_package_with_hashes() -> None:
    pytest.importorskip("cyclonedx", reason=f"{MISSING}cyclonedx-python-lib (make test)")
    listed = json.loads(as_json(TEXT))
    assert listed["metadata"]["component"]["version"] == __version__
    found = {each["name"]: each["version"] for each in listed["components"]}
    assert found == {name: version for name, version in IN_LOCK.items() if name != "setuptools"}
    for each in listed["components"]:
        (files,) = each["externalReferences"]
        assert files["hashes"], each["name"]
        assert all(f"sha256:{one['content']}" in TEXT for one in files["hashes"])


def test_the_list_of_a_release_says_which_package_needs_which() -> None:
    pytest.importorskip("cyclonedx", reason=f"{MISSING}cyclonedx-python-lib (make test)")
    needs = {each["ref"]: each.get("dependsOn", []) for each in json.loads(as_json(TEXT))["dependencies"]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {canonicalize_name(re.split(r"[^\w.-]", each)[0]) for each in project["dependencies"]}
    assert {ref.partition("@")[0] for ref in needs[f"headcount@{__version__}"]} == declared
    reached, waiting = set(), [f"headcount@{__version__}"]
    while waiting:
        reached.add(ref := waiting.pop())
        waiting.extend(set(needs[ref]) - reached)
    assert reached == needs.keys()


def test_the_list_of_a_release_is_valid_and_the_same_at_each_build(tmp_path: Path) -> None:
    pytest.importorskip("cyclonedx", reason=f"{MISSING}cyclonedx-python-lib (make test)")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    built = set()
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "deploy.release.sbom", tmp_path]
        subprocess.run(command, cwd=ROOT, env={"PYTHONHASHSEED": seed}, check=True, capture_output=True, timeout=60)
        built.add((tmp_path / f"headcount-{__version__}.cdx.json").read_text(encoding="utf-8"))
    (text,) = built
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_every_package_of_the_lock_is_read_with_its_hashes() -> None:
    found = list(pinned(TEXT))
    assert {each.name: each.version for each in found} | {"setuptools": IN_LOCK["setuptools"]} == IN_LOCK
    assert all(each.hashes and each.needed_by for each in found)
