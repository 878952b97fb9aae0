"""Write the packages of a release as CycloneDX: `python -m deploy.release.sbom FOLDER`. No network is needed.

The list (SBOM) comes from requirements.lock alone, so two builds of a version write the same bytes. A package has the
hashes of all its files that the lock accepts, as pip gets one of them: they are with the reference to these files.
"""

from __future__ import annotations

import re
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.release.man_pages import release_date
from headcount import __version__

if TYPE_CHECKING:
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
ONLY_BUILDS = {"setuptools"}
"""Packages of the lock that build the server, and that the server does not need."""

ENTRY = re.compile(r"^(?P<name>[a-z0-9][\w.-]*)==(?P<version>[^ \\\n]+)(?P<rest>.*\n(?:[ #].*\n?)*)", re.MULTILINE)
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
VIA = re.compile(r"^    # (?:via )? *([a-z][\w.-]*)", re.MULTILINE)


@dataclass(frozen=True)
class Pinned:
    """A package of the lock, with the SHA-256 of its files and the names of the packages that need it."""

    name: str
    version: str
    hashes: tuple[str, ...]
    needed_by: tuple[str, ...]


def pinned(lock: str) -> Iterator[Pinned]:
    """Read the lock, and yield the packages of the server."""
    for entry in ENTRY.finditer(lock):
        if entry["name"] not in ONLY_BUILDS:
            hashes, needed_by = HASH.findall(entry["rest"]), VIA.findall(entry["rest"])
            yield Pinned(entry["name"], entry["version"], tuple(hashes), tuple(needed_by))


def bom_of(lock: str) -> Bom:
    """Return the list of Headcount and of all packages in the lock."""
    from cyclonedx.model.bom import Bom  # of the extra `dist`; the server does not need it
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.license import LicenseExpression
    from packageurl import PackageURL

    headcount = Component(
        name="headcount", version=__version__, type=ComponentType.APPLICATION,
        purl=PackageURL("pypi", None, "headcount", __version__), bom_ref=f"headcount@{__version__}",
        licenses=[LicenseExpression("MIT")],
    )  # fmt: skip
    packages = {each.name: each for each in pinned(lock)}
    components = {name: _component(each) for name, each in packages.items()}
    bom = Bom(components=components.values(), serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"{__version__}\n{lock}"))
    bom.metadata.component = headcount
    bom.metadata.timestamp = datetime.fromisoformat(release_date()).replace(tzinfo=UTC)
    for parent, component in [("headcount", headcount), *components.items()]:
        needed = [components[name] for name, each in packages.items() if parent in each.needed_by]
        bom.register_dependency(component, needed)
    return bom


def _component(package: Pinned) -> Component:
    from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    files = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION, url=XsUri(f"https://pypi.org/project/{package.name}/{package.version}/"),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each) for each in package.hashes],
    )  # fmt: skip
    return Component(
        name=package.name, version=package.version, type=ComponentType.LIBRARY, external_references=[files],
        purl=PackageURL("pypi", None, package.name, package.version), bom_ref=f"{package.name}@{package.version}",
    )  # fmt: skip


def as_json(lock: str) -> str:
    """Return the list as JSON of CycloneDX 1.6."""
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion

    return make_outputter(bom_of(lock), OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2) + "\n"


def main() -> None:
    """Write the list into the folder that the first argument names, and print its name."""
    file = Path(sys.argv[1], f"headcount-{__version__}.cdx.json")
    file.write_text(as_json(LOCK.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"Built {file}")


if __name__ == "__main__":
    main()
