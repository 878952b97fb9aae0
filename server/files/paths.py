"""What a path sent by a client means, and which places are not the tenant's to change.

Lexical only, and that is enough: links are never followed, so `..` leads where it says. The root is the end of `..`.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

MAX_PATH_BYTES = 4096
MAX_DEPTH = 64
"""Components of a path; also how deep a tree may become by renaming, so that walking one stays cheap."""

RESULTS = b"results"
TEST = b"test"


@dataclass(frozen=True, slots=True)
class ClientPath:
    """A path below the tenant's "/", with nothing left in it that means something: no `.`, `..`, NUL or `//`."""

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

    def below(self, other: ClientPath) -> bool:
        """Whether this is `other` or something in it."""
        return self.parts[: len(other.parts)] == other.parts

    def __str__(self) -> str:
        """As people, logs and hooks see it: what is no UTF-8 or can't be printed (line ends, say) is replaced."""
        text = self.raw.decode("utf-8", "replace")
        return text if text.isprintable() else "".join(each if each.isprintable() else "\ufffd" for each in text)


def parse_path(raw: bytes) -> ClientPath:
    """The path a client means by `raw`. Raises OSError (EINVAL, ENAMETOOLONG) with a sentence."""
    if b"\0" in raw:
        raise OSError(errno.EINVAL, "a path can't hold a NUL byte")
    if len(raw) > MAX_PATH_BYTES:
        raise OSError(errno.ENAMETOOLONG, f"the path is longer than {MAX_PATH_BYTES} bytes")
    parts: list[bytes] = []
    for part in raw.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    if len(parts) > MAX_DEPTH:
        raise OSError(errno.ENAMETOOLONG, f"the path has more than {MAX_DEPTH} folders")
    return ClientPath(tuple(parts))


def is_fixed(path: ClientPath) -> bool:
    """Whether this is a folder that the server makes for every tenant: `/`, `/results` or `/test`."""
    return path.parts in ((), (RESULTS,), (TEST,))


def check_writable(path: ClientPath) -> None:
    """Raise OSError (EACCES) if nothing may be put, changed or removed at `path`; what is in `/test` may be."""
    if not path.parts:
        raise OSError(errno.EACCES, "the folder itself can't be changed")
    if path.in_results:
        raise OSError(errno.EACCES, "/results is written by the server and can only be read")
    if path.parts == (TEST,):
        raise OSError(errno.EACCES, "/test is made by the server and can't be renamed or removed")
