"""What a check-sum file says, and what it means for an upload. Pure.

A check-sum that fits an upload proves it whole, whenever it came. One that fits nothing counts against the upload it
may have been sent for: it landed after the upload before and before the upload after. One that fits another upload,
or that another import failed for, counts against nobody: so the check-sum of the last file, still lying beside the
new one, is no fault of the new one. Where one sent for this upload differs and only an old one fits, what came is an
old file once more: it differs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto

from importer.model import Counts, FileFacts, ImportState, Outcome, Problem, Severity

CHECKSUM_NAME = "sync_users.csv.sha256"
CHECKSUM_WAIT = timedelta(hours=1)
"""So long after an upload its check-sum may come, where one is required."""

MAX_CHECKSUM_BYTES = 64 * 1024
_LINE = re.compile(r"\\?(?P<hash>[0-9a-fA-F]{64})(?:[ \t]+\*?(?P<name>.*))?")
_TAGGED_LINE = re.compile(r"SHA256 \((?P<name>.*)\) = (?P<hash>[0-9a-fA-F]{64})")


class NoChecksum(ValueError):  # noqa: N818 - what is the case
    """A check-sum file that says nothing about our file; the message is a sentence for the client."""


class Verdict(Enum):
    """What the check-sums mean for an upload."""

    SILENT = auto()  # none was sent for it, and none is required
    FITS = auto()
    DIFFERS = auto()
    WAITS = auto()  # one is required and may still come
    MISSING = auto()  # one is required and did not come
    UNREAD = auto()  # one was sent or is required, and the file could not be read for it


@dataclass(frozen=True, slots=True)
class Checksum:
    """One that was sent. `after` is the sequence of the newest import when it landed.

    `import_id` is the import that failed because it differs from this, None if there is none.
    """

    id: int
    sha256: str
    after: int
    import_id: int | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was sent to the same folder around an upload: its check-sums, and the uploads next to it, by sequence.

    `before` is 0 and `following` None where there is none. `others` are the hashes of other uploads.
    """

    checksums: Sequence[Checksum]
    before: int = 0
    following: int | None = None
    others: Collection[str] = ()


def checksum_in(content: bytes) -> str:
    """The SHA-256 of `sync_users.csv`, in lower case, as `sha256sum` writes it; raises NoChecksum.

    A lone line counts whatever file it names: the file may have another name where it was made.
    """
    found = [match for line in _text(content).splitlines() if (match := _match(line.strip()))]
    if len(found) > 1:
        found = [match for match in found if _base_name(match["name"] or "") == "sync_users.csv"]
    hashes = {match["hash"].lower() for match in found}
    if len(hashes) != 1:
        raise NoChecksum(
            f"{CHECKSUM_NAME} must hold one line as sha256sum writes it: 64 digits 0-9 and a-f, two spaces, and "
            "sync_users.csv"
        )
    return hashes.pop()


def judge(import_id: int, sha256: str, around: Surroundings, *, required: bool, over: bool) -> Verdict:
    """What the check-sums around the upload `import_id`, whose content has the hash `sha256`, mean for it.

    `over` says whether it has waited long enough.
    """
    fitting = [each for each in around.checksums if each.sha256 == sha256]
    # One of this upload alone outweighs others beside it; one that an earlier upload of the same content had does not
    if sha256 not in around.others and any(_sent_for(each, around) for each in fitting):
        return Verdict.FITS
    if against(import_id, sha256, around):
        return Verdict.DIFFERS
    if fitting:
        return Verdict.FITS
    if not required:
        return Verdict.SILENT
    return Verdict.MISSING if over else Verdict.WAITS


def against(import_id: int, sha256: str, around: Surroundings) -> list[Checksum]:
    """The check-sums that differ from the upload and count against it, newest first."""
    found = [
        each
        for each in around.checksums
        if each.sha256 != sha256
        and (
            each.import_id == import_id
            or (each.import_id is None and each.sha256 not in around.others and _sent_for(each, around))
        )
    ]
    return sorted(found, key=lambda each: each.id, reverse=True)


def _sent_for(checksum: Checksum, around: Surroundings) -> bool:
    return checksum.after >= around.before and (around.following is None or checksum.after < around.following)


def differs(file: FileFacts, theirs: str) -> Outcome:
    """The end of an import whose file is not the one the check-sum was made of."""
    message = (
        f"The file is not the one that {CHECKSUM_NAME} was made of: its SHA-256 begins with "
        f"{(file.sha256 or '')[:12]}, the one sent with {theirs[:12]}. It was changed or cut short on its way, or "
        "the check-sum is of another file; send the file and its check-sum again."
    )
    return _failed(file, Problem(Severity.ERROR, "checksum_differs", message))


def missing(file: FileFacts) -> Outcome:
    """The end of an import whose required check-sum did not come."""
    message = (
        f"No check-sum came within {CHECKSUM_WAIT // timedelta(minutes=1)} minutes, and the settings require one "
        f"(require_checksum). Send the file again, and beside it {CHECKSUM_NAME} with its SHA-256."
    )
    return _failed(file, Problem(Severity.ERROR, "checksum_missing", message))


def unread(file: FileFacts) -> Outcome:
    """The end of an import whose file could not be read for so long that its check-sum was never compared."""
    message = (
        f"The server could not read the file for {CHECKSUM_WAIT // timedelta(minutes=1)} minutes, and so did not "
        "compare it with its check-sum; nothing was changed. Tell the operator, then send the file again."
    )
    return _failed(file, Problem(Severity.ERROR, "checksum_unread", message))


def waiting(until: str) -> str:
    """What an import says that waits for its check-sum, until the moment `until` (RFC 3339)."""
    return f"Waiting for {CHECKSUM_NAME} until {until}: the settings require a check-sum. Send it to the same folder."


def _failed(file: FileFacts, problem: Problem) -> Outcome:
    return Outcome(ImportState.FAILED, Counts(), file, (problem,), problem.message)


def _match(line: str) -> re.Match[str] | None:
    return _LINE.fullmatch(line) or _TAGGED_LINE.fullmatch(line)


def _text(content: bytes) -> str:
    """Some programs write it with a byte order mark, or in UTF-16. No byte is refused here: the lines are judged."""
    utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    return content.decode("utf-16" if utf16 else "utf-8-sig", errors="replace")


def _base_name(path: str) -> str:
    return re.split(r"[/\\]", path)[-1]
