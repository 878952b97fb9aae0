"""The folder of a backup: immutable objects named by their SHA-256, and the manifest that names those that count.

An object is written under another name, flushed, and renamed. The manifest is replaced last, as a whole: so a backup
that is killed at any moment leaves the previous one as it was. The next backup deletes the objects that are left:
they may not be on disk, and a backup flushes only what it adds.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ground.files import fsync_folder, replace_file
from ground.refusals import Refusal
from importer.errors import TryAgain
from server.backup.manifest import BackupUnusable, Manifest, from_text, to_text

MANIFEST = "manifest.json"
OBJECTS = "objects"
LOCK = "lock"
OWN = {MANIFEST, f"{MANIFEST}.new", OBJECTS, LOCK, "lost+found"}

BLOCK = 1024 * 1024


class Unreadable(Refusal):
    """A file of the data folder cannot be read."""

    def __init__(self, message: str) -> None:
        super().__init__("unreadable", message)


class Objects:
    """The objects of a backup. Every method blocks, and raises OSError if the backup cannot be written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._place = folder / OBJECTS
        self.added: dict[str, int] = {}
        """The objects that this backup has added, with their sizes."""
        self._damaged: set[str] = set()

    def path(self, sha256: str) -> Path:
        return self._place / sha256[:2] / sha256

    def manifest(self) -> Manifest | None:
        """Return the manifest; None if there is none yet. Raises BackupUnusable."""
        try:
            text = (self.folder / MANIFEST).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise BackupUnusable(f"the manifest of the backup in {self.folder} is damaged") from error
        return from_text(text)

    def put(self, file: int) -> tuple[str, int]:
        """Add what the open file has from here to its end; return its SHA-256 and size. Raises Unreadable."""
        with naming(self.folder), self._new() as new:
            with new.open("xb") as target:
                sha256, size = _copied(file, target.write)
            self._keep(new, sha256, size)
        return sha256, size

    def put_written(self, write: Callable[[Path], None]) -> tuple[str, int]:
        """Add the file that `write` makes at the path it gets; return its SHA-256 and size."""
        with naming(self.folder), self._new() as new:
            write(new)
            with new.open("rb") as made:
                sha256, size = _copied(made.fileno(), lambda _: None)
            self._keep(new, sha256, size)
        return sha256, size

    def has(self, sha256: str, size: int) -> bool:
        """Return whether the object is there, in its full length, and was not found damaged."""
        with suppress(FileNotFoundError):
            return sha256 not in self._damaged and self.path(sha256).stat().st_size == size
        return False

    def verify(self) -> int:
        """Read all objects of the newest state; return how many are damaged or missing. Raises BackupUnusable.

        From now on these are not there (`has`) until they are added again.
        """
        last = self.manifest()
        self._damaged = {sha256 for sha256 in (last.objects() if last else {}) if not self._is_sound(sha256)}
        return len(self._damaged)

    def lost(self, manifest: Manifest) -> list[str]:
        """Return the paths of the files in `manifest` whose objects are damaged or missing."""
        files = (entry for entry in manifest.entries if entry.sha256)
        return [entry.path for entry in files if not self.has(entry.sha256 or "", entry.size)]

    def commit(self, manifest: Manifest) -> None:
        """Make this the newest state of the backup; it is on disk when this returns."""
        with naming(self.folder):
            for sha256 in self.added:
                with self.path(sha256).open("rb") as file:
                    os.fsync(file.fileno())
            for place in {*(self.path(sha256).parent for sha256 in self.added), self._place, self.folder}:
                fsync_folder(place)
            replace_file(self.folder / MANIFEST, to_text(manifest).encode())

    def keep_newest(self) -> None:
        """Delete all objects but those of the newest state. Raises BackupUnusable."""
        last = self.manifest()
        needed = last.objects() if last else {}
        for place in _visible(self._place):
            if place.is_dir():
                for each in _visible(place):
                    if each.name not in needed:
                        each.unlink(missing_ok=True)
            else:
                place.unlink(missing_ok=True)

    def _is_sound(self, sha256: str) -> bool:
        """Return whether the bytes of the object, on its disk if that can be read, match its name."""
        with suppress(OSError, Unreadable), self.path(sha256).open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            return _copied(file.fileno(), lambda _: None)[0] == sha256
        return False

    @contextmanager
    def _new(self) -> Iterator[Path]:
        new = self._place / f"new-{secrets.token_hex(8)}"
        try:
            yield new
        finally:
            new.unlink(missing_ok=True)

    def _keep(self, new: Path, sha256: str, size: int) -> None:
        """Make the object of the file `new`, unless it is there already and is not damaged."""
        if sha256 not in self.added and not (self.has(sha256, size) and self._is_sound(sha256)):
            self._damaged.discard(sha256)
            path = self.path(sha256)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            new.chmod(0o600)
            new.rename(path)
            self.added[sha256] = size


@contextmanager
def open_objects(folder: Path) -> Iterator[Objects]:
    """Open the backup in `folder`, which is made if needed, for one backup at a time.

    Raises BackupUnusable if another one runs, or if the folder has something else in it; OSError.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if strange := sorted({path.name for path in _visible(folder)} - OWN):
        raise BackupUnusable(f"{folder} is not a backup: it has {strange[0]} in it. Name an empty or absent folder")
    with locked(folder / LOCK, fcntl.LOCK_EX) as alone:
        if not alone:
            raise BackupUnusable(f"another backup to {folder}, or a restore from it, runs. Wait for its end")
        (folder / OBJECTS).mkdir(mode=0o700, exist_ok=True)
        yield Objects(folder)


@contextmanager
def unchanged(folder: Path) -> Iterator[Objects]:
    """Open the backup in `folder`; no other backup to it begins in the block. Raises BackupUnusable if one runs.

    A folder without a lock file is a copy of a backup, and is not locked; nor is one that cannot be locked.
    """
    with ExitStack() as held:
        with suppress(OSError):
            if not held.enter_context(locked(folder / LOCK, fcntl.LOCK_SH, os.O_RDONLY)):
                raise BackupUnusable(f"a backup to {folder} runs. Wait for its end")
        yield Objects(folder)


@contextmanager
def locked(path: Path, kind: int, flags: int = os.O_RDWR | os.O_CREAT) -> Iterator[bool]:
    """Hold a lock on the file at `path` in the block; yield False if another process holds it."""
    handle = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


@contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Let an error of a disk that names no file name `folder`, which is written in the block. Raises OSError."""
    try:
        yield
    except TryAgain as error:
        if error.code != "disk_full":
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(folder)) from error


def _visible(folder: Path) -> list[Path]:
    """Return what is in `folder`, without the hidden names of a file system (`.snapshot`, `.nfs...`)."""
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def _copied(file: int, write: Callable[[bytes], object]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while block := _read(file):
        digest.update(block)
        write(block)
        size += len(block)
    return digest.hexdigest(), size


def _read(file: int) -> bytes:
    try:
        return os.read(file, BLOCK)
    except OSError as error:
        raise Unreadable(f"a file cannot be read ({error.strerror})") from error
