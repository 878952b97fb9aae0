"""Modules of hooks, written by a test and loaded as the server loads them."""

from __future__ import annotations

import hashlib
import importlib
import itertools
from pathlib import Path
from textwrap import dedent
from typing import Any

from server.runs.python.calling import Calling, Workshop
from server.runs.python.child import declared_in
from server.runs.registry import Attempt

HEAD = """
import asyncio, os, signal, subprocess, sys, time
from pathlib import Path
from headcount import Delivery, Message, Refuse, Result, Retry, Upload, hook
"""

_numbers = itertools.count(1)


def load_hook(folder: Path, code: str, workshop: Workshop) -> Calling:
    """Write a module with the hook `invoices`, import it, and return the hook. `folder` must be in `sys.path`."""
    module = f"hooks_of_a_test_{next(_numbers)}"
    (folder / f"{module}.py").write_text(HEAD + dedent(code))
    importlib.invalidate_caches()
    return Calling(declared_in(module, "invoices"), module, workshop)


def attempt_of(folder: Path, content: bytes = b"the file", *, run_id: int = 1, **changed: Any) -> Attempt:
    """Return an attempt to deliver `content`, with its files in `folder`."""
    copy, reports = folder / f"{run_id}.file", folder / f"{run_id}.reports"
    copy.write_bytes(content)
    reports.mkdir(exist_ok=True)
    facts: dict[str, Any] = {
        "tenant": "acme",
        "run_id": run_id,
        "hook": "invoices",
        "path": "/invoices/march.csv",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "uploaded_at": "2026-03-31T10:00:00Z",
        "attempt": 1,
        "settings": {},
        "copy": copy,
        "reports": reports,
    }
    return Attempt(**{**facts, **changed})
