"""Paths sent by clients: parse them, and refuse changes to the paths that the server owns.

Parsing is lexical only. That is enough because links are never followed, so `..` is the parent; at the root it stays.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

MAX_PATH_BYTES = 4096
MAX_DEPTH = 64
"""Most components of a path. Also the most levels of a tree after a rename, so that walking a tree stays cheap."""

RESULTS = b"results"
TEST = b"test"


@dataclass(frozen=True, slots=True)
class ClientPath:
    """A normalized path below the tenant's "/": without `.`, `..`, NUL and `//`."""

    parts: tuple[bytes, ...]

    @property
    def raw(self) -> bytes:
        return b"/" + b"/".join(self.parts)

    @property
    def name(self) -> bytes:
        return self.parts[-1] if self.parts else b"/"

    @property
    def folder(self) -> tuple[bytes, ...]:
        return self.parts[:-1]

    @property
    def in_results(self) -> bool:
        return self.parts[:1] == (RESULTS,)

    @property
    def printable(self) -> bool:
        """Return whether `str` has all of it: it is printable UTF-8."""
        return str(self).encode() == self.raw

    def below(self, other: ClientPath) -> bool:
        """Return whether this is `other` or a path in it."""
        return self.parts[: len(other.parts)] == other.parts

    def __str__(self) -> str:
        """Return the path for messages, logs and hooks: bytes that are not printable UTF-8 are replaced."""
        text = self.raw.decode("utf-8", "replace")
        return text if text.isprintable() else "".join(each if each.isprintable() else "\ufffd" for each in text)


def parse_path(raw: bytes) -> ClientPath:
    """Parse a client's path. Raises OSError (EINVAL, ENAMETOOLONG) with a message for the client."""
    if b"\0" in raw:
        raise OSError(errno.EINVAL, "a path cannot contain a NUL byte")
    if len(raw) > MAX_PATH_BYTES:
        raise OSError(errno.ENAMETOOLONG, f"the path is longer than {MAX_PATH_BYTES:,} bytes; use shorter names")
    parts: list[bytes] = []
    for part in raw.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    if len(parts) > MAX_DEPTH:
        raise OSError(errno.ENAMETOOLONG, f"the path has more than {MAX_DEPTH} parts; use fewer folders")
    return ClientPath(tuple(parts))


def is_fixed(path: ClientPath) -> bool:
    """Return whether the server makes this folder for every tenant, whatever hooks there are."""
    return path.parts in ((), (RESULTS,), (TEST,))


def check_writable(path: ClientPath) -> None:
    """Raise OSError (EACCES) if clients may not change `path`: `/`, `/test`, and `/results` with all in it."""
    if not path.parts:
        raise OSError(errno.EACCES, "/ cannot be replaced, renamed or removed")
    if path.in_results:
        raise OSError(errno.EACCES, "/results is read-only, because only the server writes to it; use another folder")
    if path.parts == (TEST,):
        raise OSError(errno.EACCES, "/test belongs to the server and cannot be replaced, renamed or removed")
