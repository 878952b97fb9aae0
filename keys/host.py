"""The server's host keys: created at the first start, refused if other users could have read them.

An Ed25519 key always exists. Only if there was no key at all, an RSA key is created with it, for clients that support
nothing newer. Other keys in the folder are used as well, for example those of the server that this one replaces.
Every file that does not end in `.pub` is read as a private key.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
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
    """One host key of the server."""

    path: Path
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
    if not any(key.kind == "ssh-ed25519" for key in found):
        if not found:
            _make(folder / RSA, asyncssh.generate_private_key("ssh-rsa", key_size=RSA_BITS))
        _make(folder / ED25519, asyncssh.generate_private_key("ssh-ed25519"))
        found = _load_all(folder)
    return sorted(found, key=lambda key: (key.kind != "ssh-ed25519", key.kind, key.path.name))


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
    _refuse_weak(path, key)
    return HostKey(path, key)


def _refuse_weak(path: Path, key: asyncssh.SSHKey) -> None:
    kind, inner = key.get_algorithm(), key.pyca_key
    if kind not in KINDS:
        raise HostKeyRefused(
            f"the host key {path} is of type {kind}, which is not supported: move it out of the folder"
        )
    if isinstance(inner, RSAPrivateKey) and inner.key_size < RSA_MIN_BITS:
        raise HostKeyRefused(
            f"the host key {path} has {inner.key_size} bits, fewer than {RSA_MIN_BITS}: move it out of the folder"
        )


def _make(path: Path, key: asyncssh.SSHKey) -> None:
    """Write the private key and, beside it, the public one; after a crash there is no part of a private key."""
    replace_file(path.with_suffix(".pub"), key.export_public_key("openssh"), 0o644)
    replace_file(path, key.export_private_key("openssh"), 0o600)
