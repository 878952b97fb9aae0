"""The server's host keys: created at the first start, refused if other users could have read them.

An Ed25519 key always exists. Only if there was no key at all, an RSA key is created with it, for clients that support
nothing newer. Other keys in the folder are used as well, for example those of the server that this one replaces.
Every file that does not end in `.pub` is read as a private key.
"""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import asyncssh
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from ground.files import NEW, replace_file
from keys.errors import HostKeyRefused
from keys.public import KINDS, RSA_MIN_BITS, fingerprint

ED25519 = "ssh_host_ed25519_key"
RSA = "ssh_host_rsa_key"
RSA_BITS = 3072


@dataclass(frozen=True, slots=True)
class HostKey:
    """One host key of the server; `name` is that of its file."""

    name: str
    key: asyncssh.SSHKey

    @property
    def kind(self) -> str:
        return self.key.get_algorithm()

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.key.public_data)


@dataclass(frozen=True, slots=True)
class ShownHostKey:
    """The form in which people compare a host key.

    `fingerprint` (`SHA256:...`) is what clients show at their first connection; `public` is the form in which they
    store the key in `known_hosts`, after the host's name.
    """

    kind: str
    fingerprint: str
    public: str


def shown_host_keys(keys: Iterable[HostKey]) -> list[ShownHostKey]:
    """Return the public facts of `keys`, in their order."""
    return [ShownHostKey(each.kind, each.fingerprint, _public(each.key)) for each in keys]


def _public(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key("openssh").decode("ascii").split()[:2])


def host_keys(folder: Path) -> list[HostKey]:
    """Return the host keys in `folder`, Ed25519 first; create the required ones, with mode 0600.

    Raises HostKeyRefused for a key that others can read, that is weak, or for a file that is not a key.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = _load_all(folder)
    if new := missing_host_keys({key.kind for key in found}):
        for each in reversed(new):  # Ed25519 last: it shows that all are there
            _make(folder / each.name, each)
    return in_order([*found, *new])


def kept_host_keys(folder: Path) -> list[HostKey]:
    """Return the host keys in `folder` as `host_keys` does, but create none."""
    return in_order(_load_all(folder)) if folder.is_dir() else []


def put_host_keys(folder: Path, keys: Iterable[HostKey]) -> None:
    """Write these keys into `folder`, which is made if it is missing. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for each in keys:
        _make(folder / each.name, each)


def in_order(keys: Iterable[HostKey]) -> list[HostKey]:
    """Return the keys as they are offered and shown: Ed25519 first."""
    return sorted(keys, key=lambda key: (key.kind != "ssh-ed25519", key.kind, key.name))


def missing_host_keys(found: Collection[str]) -> list[HostKey]:
    """Return new keys that a server needs beside those of the kinds `found`. Takes up to some seconds."""
    if "ssh-ed25519" in found:
        return []
    new = [HostKey(ED25519, asyncssh.generate_private_key("ssh-ed25519"))]
    return new if found else [*new, HostKey(RSA, asyncssh.generate_private_key("ssh-rsa", key_size=RSA_BITS))]


def read_host_key(name: str, private: bytes) -> HostKey:
    """Return the host key with this private part (`private_part`). Raises HostKeyRefused if it cannot be used."""
    try:
        key = asyncssh.import_private_key(private)
    except (asyncssh.KeyImportError, ValueError):
        raise HostKeyRefused(f"the host key {name} is not a private key") from None
    if why := _why_weak(key):
        raise HostKeyRefused(f"the host key {name} {why}")
    return HostKey(name, key)


def private_part(key: HostKey) -> bytes:
    """Return the private key, in the form of OpenSSH."""
    return key.key.export_private_key("openssh")


def host_key_files(folder: Path) -> list[Path]:
    """Return the files in `folder` that are read as private keys. Raises OSError."""
    return [path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix not in {".pub", NEW}]


def has_ed25519(folder: Path) -> bool:
    """Return whether an Ed25519 key is among the host keys in `folder`. Raises HostKeyRefused, OSError."""
    return any(key.kind == "ssh-ed25519" for key in _load_all(folder))


def why_refused(path: Path) -> str | None:
    """Return why the host key in the file at `path` is refused; None if it can be used."""
    try:
        _load(path)
    except HostKeyRefused as error:
        return str(error)
    return None


def _load_all(folder: Path) -> list[HostKey]:
    return [_load(path) for path in host_key_files(folder)]


def _load(path: Path) -> HostKey:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise HostKeyRefused(f"the host key {path} can be read by others (mode {mode:04o}): chmod 600 {path}")
        key = asyncssh.read_private_key(path)
    except OSError as error:
        raise HostKeyRefused(f"the host key {path} cannot be read: {error.strerror}") from error
    except asyncssh.KeyEncryptionError:
        raise HostKeyRefused(
            f"the host key {path} has a passphrase: remove it with ssh-keygen -p -f {path}"
        ) from None
    except (asyncssh.KeyImportError, ValueError):
        raise HostKeyRefused(f"{path} is not a private key: move it out of the folder of host keys") from None
    if why := _why_weak(key):
        raise HostKeyRefused(f"the host key {path} {why}: move it out of the folder")
    return HostKey(path.name, key)


def _why_weak(key: asyncssh.SSHKey) -> str | None:
    kind, inner = key.get_algorithm(), key.pyca_key
    if kind not in KINDS:
        return f"is of type {kind}, which is not supported"
    if isinstance(inner, RSAPrivateKey) and inner.key_size < RSA_MIN_BITS:
        return f"has {inner.key_size} bits, fewer than {RSA_MIN_BITS}"
    return None


def _make(path: Path, key: HostKey) -> None:
    """Write the private key and, beside it, the public one; after a crash there is no part of a private key."""
    replace_file(path.with_suffix(".pub"), key.key.export_public_key("openssh"), 0o644)
    replace_file(path, private_part(key), 0o600)
