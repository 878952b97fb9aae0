"""An attempt of a hook over real files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from server.runs.registry import Attempt


def attempt_of(folder: Path, content: bytes, *, path: str = "/invoices/march.csv", number: int = 1) -> Attempt:
    """Return attempt `number` of run 7 of `acme`; its copy and its empty folder of reports are in `folder`."""
    copy, reports = folder / "7.file", folder / "7.reports"
    copy.write_bytes(content)
    reports.mkdir()
    sha256 = hashlib.sha256(content).hexdigest()
    return Attempt(
        "acme", 7, "invoices", path, len(content), sha256, "2026-03-31T08:00:00Z", number, {}, copy, reports
    )
