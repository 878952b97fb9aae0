"""Look for known vulnerabilities of locked packages: `python -m deploy.release.audit LOCK [OPTIONS of pip-audit]`.

It exits with 0 only if the service knows of none for each pinned package, with 1 if it knows of some, and with 2 if
that could not be found out.

pip-audit exits with 0 too if its service does not have a package, and with 1 for some lost connections. So its report
decides, not its exit code. A release with known vulnerabilities is looked up with the others: a service that does not
know them knows nothing.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement

VULNERABLE = ("django", "2.2.0")
"""A release with known vulnerabilities (CVE-2019-12308 and others), of a package that no lock has."""
NONE, SOME, UNKNOWN = 0, 1, 2
ALL_S = 600
PINNED = re.compile(r"^[A-Za-z0-9][^#\\]*", re.MULTILINE)


class Unknown(Exception):  # noqa: N818 - a state
    """The service gave no usable answer; the message is a sentence."""


def pinned(lock: Path) -> dict[str, str]:
    """Return the version of each package that a lock installs here, by name. Raises Unknown if it cannot be read."""
    try:
        wanted = [Requirement(line.strip()) for line in PINNED.findall(lock.read_text(encoding="utf-8"))]
    except (OSError, ValueError) as error:
        raise Unknown(str(error)) from None
    return {
        each.name: str(each.specifier).removeprefix("==")
        for each in wanted
        if each.marker is None or each.marker.evaluate()
    }


def known(packages: dict[str, str], options: Sequence[str] = ()) -> dict[str, list[str]]:
    """Ask for these versions, and return the ids of the vulnerabilities of each package that has some.

    Raises Unknown if the answer does not cover each of them.
    """
    with tempfile.TemporaryDirectory(prefix="headcount-") as folder:
        listed, report = Path(folder, "packages.txt"), Path(folder, "report.json")
        listed.write_text("".join(f"{name}=={version}\n" for name, version in packages.items()), encoding="utf-8")
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(listed), "--no-deps", "--disable-pip"]
        command += ["--vulnerability-service", "osv", "--progress-spinner", "off", "--format", "json"]
        ran = subprocess.run(
            [*command, "--output", str(report), *options],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=ALL_S,
        )  # fmt: skip
        try:
            answers = json.loads(report.read_text(encoding="utf-8"))["dependencies"]
        except (OSError, ValueError, KeyError):
            last = (ran.stderr.strip().splitlines() or ["pip-audit printed nothing"])[-1]
            raise Unknown(last) from None
    found = {each["name"]: each for each in answers if "vulns" in each}
    if left := sorted(name for name, version in packages.items() if found.get(name, {}).get("version") != version):
        raise Unknown(f"the answer leaves out {', '.join(left)}")
    return {name: [vuln["id"] for vuln in each["vulns"]] for name, each in found.items() if each["vulns"]}


def audit(lock: Path, options: Sequence[str] = ()) -> int:
    """Print what is known of the packages in `lock`, and return the exit code."""
    try:
        packages = pinned(lock)
        if not packages:
            raise Unknown(f"{lock} pins no package")
        found = known({**packages, **dict([VULNERABLE])}, options)
        if not found.pop(VULNERABLE[0], None):
            raise Unknown(f"the service does not know the vulnerabilities of {' '.join(VULNERABLE)}")
    except (Unknown, subprocess.TimeoutExpired) as error:
        print(f"{lock} was not checked: {error}", file=sys.stderr)
        return UNKNOWN
    for name, ids in sorted(found.items()):
        print(f"{name} {packages[name]}: {', '.join(ids)}")
    print(f"{lock}: {len(packages)} packages, {len(found)} with known vulnerabilities")
    return SOME if found else NONE


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print("name a lock: python -m deploy.release.audit requirements.lock", file=sys.stderr)
        sys.exit(UNKNOWN)
    sys.exit(audit(Path(sys.argv[1]), sys.argv[2:]))
