"""Build the image of deploy/Dockerfile with buildah, without a daemon and without a registry of images.

The base that the Dockerfile names is made by debootstrap: Debian with its own Python, under the name of the official
image. Only root can do this.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import ROOT
from tests.support.clients import client

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
IMAGE = "localhost/headcount:test"
SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
PACKAGES = "ca-certificates,python3,python3-venv"


@dataclass(frozen=True, slots=True)
class Buildah:
    """buildah with its images in `folder`, not in those of the machine."""

    folder: Path

    def __call__(self, *arguments: str, check: bool = True) -> str:
        storage = ["--root", str(self.folder / "images"), "--runroot", str(self.folder / "run")]
        env = {**os.environ, "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}
        done = subprocess.run(
            [client("buildah"), *storage, *arguments],
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or not check, f"buildah {arguments}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout.strip()

    def make_base(self) -> None:
        """Make the base image that the Dockerfile names."""
        found = re.search(r"^ARG BASE=(\S+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
        assert found
        container = self("from", "scratch")
        root = self("mount", container)
        command = [client("debootstrap"), "--variant=minbase", f"--include={PACKAGES}", SUITE, root, MIRROR]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        self("umount", container)
        self("commit", "--rm", container, f"docker.io/library/{found[1]}")

    def build(self) -> None:
        """Build IMAGE as the Dockerfile says. The format of Docker has health checks."""
        volumes = [part for each in reaching_packages() for part in ("--volume", f"{each}:{each}:ro")]
        options = ["--pull-never", "--format", "docker", *volumes, "--file", str(DOCKERFILE), "--tag", IMAGE]
        self("build", *options, ".")

    def config(self) -> dict[str, Any]:
        """Return the configuration of IMAGE, as Docker reads it."""
        found: dict[str, Any] = json.loads(self("inspect", "--type", "image", IMAGE))["Docker"]["config"]
        return found


def reaching_packages() -> list[Path]:
    """Return the files of this machine by which pip reaches packages: its settings, certificates and own folders."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    settings = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    named = {found.removesuffix("/simple") for found in re.findall(r"(?:file://)?(/[^\s'\"\\]+)", settings)}
    paths = {Path(each) for each in ("/etc/pip.conf", "/etc/ssl/certs", *named)}
    return sorted(path for path in paths if path.exists() and Path("/etc/ssl/certs") not in path.parents)
