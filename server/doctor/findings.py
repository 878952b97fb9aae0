"""A finding: what is wrong at one place, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import PurePath


class Severity(StrEnum):
    """How much a finding matters. Only a notice needs no action beyond a start of the server."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


ORDER = list(Severity)

Key = tuple[str | None, str, Severity]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `what` and `do` are sentences without a full stop. A command stands at the end of `do`.

    `file` is a path, and `tenant` the tenant that it belongs to, or None.
    """

    tenant: str | None
    file: str
    severity: Severity
    what: str
    do: str

    @property
    def key(self) -> Key:
        """Return what stays the same when the finding is found again."""
        return self.tenant, self.file, self.severity

    def to_json(self) -> dict[str, str | None]:
        """Return the finding for programs."""
        return asdict(self)


def in_order(findings: Iterable[Finding], data_dir: str) -> list[Finding]:
    """Return the findings, errors first, then by tenant and file, without those that an error before them explains.

    An error explains what else is wrong with the same file, and with all below it. Those of the data folder itself,
    such as a full disk, explain nothing else.
    """
    kept: list[Finding] = []
    errors: set[str] = set()
    for each in findings:
        if not any(place in errors for place in (each.file, *map(str, PurePath(each.file).parents))):
            kept.append(each)
            if each.severity is Severity.ERROR and each.file != data_dir:
                errors.add(each.file)
    return sorted(kept, key=lambda each: (ORDER.index(each.severity), each.tenant or "", each.file))


def need_action(findings: Iterable[Finding]) -> bool:
    """Return whether a finding is more than a notice."""
    return any(each.severity is not Severity.NOTICE for each in findings)


def parted(reason: str) -> tuple[str, str]:
    """Return what is wrong and what to do, from a reason such as `X is empty; restore it from a backup`."""
    what, _, do = reason.rpartition("; ")
    return (what, _capital(do)) if what else (reason, "Fix the cause, and run this again: headcount doctor")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
