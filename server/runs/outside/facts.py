"""The facts of an attempt for hooks outside: as variables of a command, as headers of a request, and in the log."""

from __future__ import annotations

import hashlib
from logging import Logger
from urllib.parse import quote

from server.runs.registry import Attempt

DIGITS = 16
"""How many hexadecimal digits of the digest of an upload are in the id of its delivery."""


def variables(attempt: Attempt) -> dict[str, str]:
    """Return the environment variables with the facts of an attempt, by name."""
    return {f"HEADCOUNT_{name}": value for name, value in _facts(attempt).items()} | {
        "HEADCOUNT_FILE": str(attempt.copy)
    }


def headers(attempt: Attempt) -> dict[str, str]:
    """Return the headers with the facts of an attempt, by name. Values are percent-encoded."""
    return {
        f"headcount-{name.lower().replace('_', '-')}": quote(value, safe="/:", errors="surrogateescape")
        for name, value in _facts(attempt).items()
    }


def delivery_id(attempt: Attempt) -> str:
    """Return what identifies a delivery, in every attempt alike.

    A tenant that is created anew and a restored database count runs from a smaller number again. So the id of the run
    is followed by a digest of its upload: another file never has the id of one that a receiver knows.
    """
    upload = hashlib.sha256(f"{attempt.uploaded_at} {attempt.sha256}".encode()).hexdigest()
    return f"run_{attempt.tenant}_{attempt.hook}_{attempt.run_id}_{upload[:DIGITS]}"


def tell_failure(log: Logger, attempt: Attempt, why: str) -> None:
    """Log that an attempt failed. `why` has no output of the hook, which may quote the file."""
    facts = {"hook": attempt.hook, "tenant": attempt.tenant, "run_id": attempt.run_id}
    log.error("The hook %s failed: %s.", attempt.hook, why, extra={"event": "hook_failed", **facts})


def _facts(attempt: Attempt) -> dict[str, str]:
    return {
        "TENANT": attempt.tenant,
        "HOOK": attempt.hook,
        "PATH": attempt.path,
        "NAME": attempt.path.rsplit("/", 1)[-1],
        "SIZE": str(attempt.size),
        "SHA256": attempt.sha256,
        "UPLOADED_AT": attempt.uploaded_at,
        "ATTEMPT": str(attempt.attempt),
    }
