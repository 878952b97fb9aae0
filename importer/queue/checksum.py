"""Read a checksum file, and decide what it means for an upload. Pure.

A checksum that matches an upload proves the upload complete, whenever the checksum arrived. A checksum that matches
no upload counts against each upload that it may have been sent for: it arrived after the previous upload and before
the next one.

A checksum that matches another upload, or made another import fail, counts against no upload. So the previous file's
checksum, still in the folder beside the new file, does not make the new file fail.

If the checksum sent for this upload differs, and only an older checksum matches, the older file was sent again: the
upload differs.
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
"""How long after an upload its checksum may arrive, if one is required."""

WAITING_BEGINS = f"Waiting for {CHECKSUM_NAME} until "
"""The begin of the message of an import that waits for its checksum."""

MAX_CHECKSUM_BYTES = 64 * 1024
_LINE = re.compile(r"\\?(?P<hash>[0-9a-fA-F]{64})(?:[ \t]+\*?(?P<name>.*))?")
_TAGGED_LINE = re.compile(r"SHA256 \((?P<name>.*)\) = (?P<hash>[0-9a-fA-F]{64})")


class NoChecksum(ValueError):  # noqa: N818 - a state, not an error
    """A checksum file without a checksum for sync_users.csv; the message is a sentence for the client."""


class Verdict(Enum):
    """The meaning of the checksums for an upload."""

    SILENT = auto()  # none was sent for the upload, and none is required
    FITS = auto()
    DIFFERS = auto()
    WAITS = auto()  # one is required and may still arrive
    MISSING = auto()  # one is required and did not arrive in time
    UNREAD = auto()  # one was sent or is required, and the file could not be read to compare it


@dataclass(frozen=True, slots=True)
class Checksum:
    """A checksum that was sent. `after` is the sequence of the newest import when it arrived.

    `import_id` is the import that failed because it differs from this checksum; None if there is none.
    """

    id: int
    sha256: str
    after: int
    import_id: int | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The context of an upload in its folder: the checksums, and the sequences of the neighboring uploads.

    `before` is 0 and `following` is None if that upload does not exist. `others` are the hashes of other uploads.
    """

    checksums: Sequence[Checksum]
    before: int = 0
    following: int | None = None
    others: Collection[str] = ()


def checksum_in(content: bytes) -> str:
    """Return the SHA-256 of `sync_users.csv`, in lower case, from a file as `sha256sum` writes it. Raises NoChecksum.

    A single line counts whatever file it names: the file may have another name on the sender's machine.
    """
    found = [match for line in _text(content).splitlines() if (match := _match(line.strip()))]
    if len(found) > 1:
        found = [match for match in found if _base_name(match["name"] or "") == "sync_users.csv"]
    hashes = {match["hash"].lower() for match in found}
    if len(hashes) != 1:
        raise NoChecksum(
            f"{CHECKSUM_NAME} must hold one line as sha256sum writes it: 64 digits 0-9 and a-f, two spaces and "
            "sync_users.csv"
        )
    return hashes.pop()


def judge(import_id: int, sha256: str, around: Surroundings, *, required: bool, over: bool) -> Verdict:
    """Decide what the checksums around the upload `import_id` mean for it. `sha256` is the hash of its content.

    `over`: the upload has waited long enough for a required checksum.
    """
    fitting = [each for each in around.checksums if each.sha256 == sha256]
    # A matching checksum sent for this upload overrides differing ones. But if another upload has the same content,
    # the match may belong to that one and overrides nothing.
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
    """Return the checksums that differ from the upload and count against it, newest first."""
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
    """Return the outcome of an import whose file does not match its checksum."""
    message = (
        f"The file does not match {CHECKSUM_NAME}: its SHA-256 starts with {(file.sha256 or '')[:12]}, not "
        f"{theirs[:12]}. One of them is cut short, changed or of another file. Send both again."
    )
    return _failed(file, Problem(Severity.ERROR, "checksum_differs", message))


def missing(file: FileFacts) -> Outcome:
    """Return the outcome of an import whose required checksum did not arrive in time."""
    message = (
        f"No checksum came within {CHECKSUM_WAIT // timedelta(minutes=1)} minutes, and require_checksum is on. "
        f"Send the file and {CHECKSUM_NAME}."
    )
    return _failed(file, Problem(Severity.ERROR, "checksum_missing", message))


def unread(file: FileFacts) -> Outcome:
    """Return the outcome of an import whose file stayed unreadable for CHECKSUM_WAIT.

    Its checksum was not compared.
    """
    message = (
        f"The server could not read the file for {CHECKSUM_WAIT // timedelta(minutes=1)} minutes, so it was not "
        "compared with its checksum; nothing was changed. Tell the operator, then send the file again."
    )
    return _failed(file, Problem(Severity.ERROR, "checksum_unread", message))


def waiting(until: str) -> str:
    """Return the message of an import that waits for its checksum until the moment `until` (RFC 3339)."""
    time = f"{until[:10]} {until[11:16]} UTC"
    return f"{WAITING_BEGINS}{time}: require_checksum is on. Send it to the same folder."


def _failed(file: FileFacts, problem: Problem) -> Outcome:
    return Outcome(ImportState.FAILED, Counts(), file, (problem,), problem.message)


def _match(line: str) -> re.Match[str] | None:
    return _LINE.fullmatch(line) or _TAGGED_LINE.fullmatch(line)


def _text(content: bytes) -> str:
    """Decode a checksum file. Some programs write a byte order mark or UTF-16.

    No byte is refused: the lines are checked.
    """
    utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    return content.decode("utf-16" if utf16 else "utf-8-sig", errors="replace")


def _base_name(path: str) -> str:
    return re.split(r"[/\\]", path)[-1]
