"""The quota of a tenant: visible files, unfinished uploads and copies for imports together, against the limit. Pure.

Each file and folder counts as one. Files also count by their length, holes included: a sparse terabyte is a terabyte.
Files that the server writes to `/results`, and the folders that it makes, do not count. Copies of queued, running and
held imports, and of queued and running runs of hooks, count in bytes. A copy that is still a visible file counts
once.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field

from server.files.contracts import TenantLimits


@dataclass(slots=True)
class Usage:
    """A running total of one tenant: bytes, files and folders, and the newest measured bytes of `waiting` copies.

    `many`: the copies are so many that they are not measured at every upload. `removed`: a visible file was removed
    or replaced after the copies were measured, so a copy of it may count now.
    """

    size: int = 0
    files: int = 0
    waiting: int = 0
    many: bool = False
    removed: bool = field(default=False, compare=False)

    @property
    def taken(self) -> int:
        """Return the bytes that count against the quota."""
        return self.size + self.waiting

    def reserve(self, size: int, files: int, limits: TenantLimits) -> None:
        """Count `size` more bytes and `files` more files. Raises OSError (EDQUOT), with nothing counted."""
        if files > 0 and self.files + files > limits.quota_files:
            raise _exceeded(f"at most {limits.quota_files:,} files and folders are allowed; delete some")
        if size > 0 and self.taken + size > limits.quota_bytes:
            raise _exceeded(
                f"at most {limits.quota_bytes:,} bytes are allowed, including unfinished uploads"
                + (f" and {self.waiting:,} bytes of files that are queued, running or held" if self.waiting else "")
                + "; delete files"
            )
        self.size += size
        self.files += files

    def add(self, size: int, files: int) -> None:
        """Count existing bytes and files, without checking the limits."""
        self.size += size
        self.files += files

    def release(self, size: int, files: int) -> None:
        """Count `size` bytes and `files` files less."""
        self.size = max(0, self.size - size)
        self.files = max(0, self.files - files)

    def remove(self, size: int, files: int) -> None:
        """Count a visible file of `size` bytes less. If there are many copies, one may be its own: its bytes stay."""
        self.release(size, files)
        self.removed = True
        if self.many:
            self.waiting += size


def check_length(length: int, limits: TenantLimits) -> None:
    """Raise OSError (EDQUOT) if `length` is more bytes than a file may have."""
    if length > limits.max_file_bytes:
        raise _exceeded(f"a file may have at most {limits.max_file_bytes:,} bytes; send a smaller one")


def _exceeded(sentence: str) -> OSError:
    return OSError(errno.EDQUOT, f"quota exceeded: {sentence}")
