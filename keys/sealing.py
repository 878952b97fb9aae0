"""Seals secrets before they are stored in a database: they are of no use without the operator's secret file.

A sealed value can be opened only for the place it was sealed for, so that no row can be moved to another one.
AES-256-GCM, with a key that HKDF derives from the secret: the first byte of a sealed value names this way.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from pathlib import Path

from keys.errors import NotOpened, SecretRefused

SECRET_MIN_BYTES = 32
SECRET_MAX_BYTES = 65536
_PURPOSE = b"headcount: sealed values in a database"
_WAY = b"\x01"
_NONCE_BYTES = 12


class Sealer:
    """Seals and opens values with one secret."""

    def __init__(self, secret: bytes) -> None:
        # Imported here: only a server with a database needs it.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        self._cipher = AESGCM(HKDF(SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret))

    def seal(self, value: bytes, *place: str) -> bytes:
        """Return `value` sealed for this place. Two calls give different results."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _WAY + nonce + self._cipher.encrypt(nonce, value, _bound(place))

    def open(self, sealed: bytes, *place: str) -> bytes:
        """Return the value that was sealed for this place. Raises NotOpened."""
        from cryptography.exceptions import InvalidTag

        way, nonce, rest = sealed[:1], sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        if way != _WAY or len(nonce) < _NONCE_BYTES:
            raise NotOpened
        try:
            return self._cipher.decrypt(nonce, rest, _bound(place))
        except InvalidTag:
            raise NotOpened from None


def read_secret(path: Path) -> bytes:
    """Return the secret in the file at `path`. Raises SecretRefused. A line end at its end is not part of it."""
    try:
        # Not to wait for a pipe that no process writes to.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            _refuse_open(path, os.fstat(file))
            content = os.read(file, SECRET_MAX_BYTES + 1)
        finally:
            os.close(file)
    except FileNotFoundError:
        raise SecretRefused(
            f"the secret file {path} is missing: restore it, or make one for a new database: "
            f"(umask 077; head -c {SECRET_MIN_BYTES} /dev/urandom > {path})"
        ) from None
    except OSError as error:
        raise SecretRefused(f"the secret file {path} cannot be read: {error.strerror}") from None
    if len(content) < SECRET_MIN_BYTES:
        raise SecretRefused(f"the secret file {path} has {len(content)} bytes, fewer than {SECRET_MIN_BYTES}")
    if len(content) > SECRET_MAX_BYTES:
        raise SecretRefused(f"the secret file {path} has more than {SECRET_MAX_BYTES:,} bytes")
    return content.removesuffix(b"\n").removesuffix(b"\r")  # an editor adds one to a text that is copied


def _refuse_open(path: Path, found: os.stat_result) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode):
        raise SecretRefused(f"the secret file {path} is not a file")
    if mode & 0o077:
        raise SecretRefused(f"the secret file {path} can be read by others (mode {mode:04o}): chmod 600 {path}")
    if found.st_uid not in {os.geteuid(), 0}:
        raise SecretRefused(f"the secret file {path} belongs to another user: chown it to the user of the server")


def _bound(place: tuple[str, ...]) -> bytes:
    """Return the place as bytes that no other place has."""
    return json.dumps(place).encode("ascii")
