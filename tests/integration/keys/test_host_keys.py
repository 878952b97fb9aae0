"""The server's host keys: created once, kept, and refused if they cannot be trusted."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from keys.errors import HostKeyRefused
from keys.host import host_keys, shown_host_keys
from tests.support.keypairs import keypair


def put(folder: Path, name: str, content: bytes, mode: int = 0o600) -> Path:
    path = folder / name
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_the_first_start_creates_an_ed25519_and_an_rsa_key_with_mode_0600(tmp_path: Path) -> None:
    folder = tmp_path / "host_keys"
    keys = host_keys(folder)
    assert [key.kind for key in keys] == ["ssh-ed25519", "ssh-rsa"]
    assert keys[1].key.pyca_key.key_size == 3072
    for key in keys:
        assert stat.S_IMODE((folder / key.name).stat().st_mode) == 0o600
        assert (folder / key.name).with_suffix(".pub").read_bytes().split()[0].decode() == key.kind
        assert key.fingerprint == key.key.convert_to_public().get_fingerprint()


def test_host_keys_are_shown_as_ssh_keygen_shows_them(tmp_path: Path) -> None:
    for key, shown in zip(host_keys(tmp_path), shown_host_keys(host_keys(tmp_path)), strict=True):
        public = (tmp_path / key.name).with_suffix(".pub")
        said = subprocess.run(["ssh-keygen", "-l", "-f", public], capture_output=True, check=True, text=True).stdout
        assert shown.fingerprint in said.split()
        assert public.read_text().startswith(shown.public)


def test_later_starts_use_the_same_keys(tmp_path: Path) -> None:
    first = [key.fingerprint for key in host_keys(tmp_path)]
    assert [key.fingerprint for key in host_keys(tmp_path)] == first


def test_other_keys_in_the_folder_are_used(tmp_path: Path) -> None:
    ours = host_keys(tmp_path)
    put(tmp_path, "from_the_old_server", keypair("ecdsa-sha2-nistp256").export_private_key("openssh"))
    assert len(host_keys(tmp_path)) == len(ours) + 1


def test_a_folder_with_other_keys_gets_only_an_ed25519_key(tmp_path: Path) -> None:
    put(tmp_path, "old_rsa", keypair("ssh-rsa", key_size=2048).export_private_key("openssh"))
    assert [(key.kind, key.name) for key in host_keys(tmp_path)] == [
        ("ssh-ed25519", "ssh_host_ed25519_key"),
        ("ssh-rsa", "old_rsa"),
    ]


def test_a_file_half_written_at_a_crash_is_not_used_as_a_key(tmp_path: Path) -> None:
    put(tmp_path, "ssh_host_ed25519_key.new", b"-----BEGIN OPENSSH")
    assert len(host_keys(tmp_path)) == 2


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / host_keys(tmp_path)[0].name
    path.chmod(mode)
    with pytest.raises(HostKeyRefused, match="chmod 600"):
        host_keys(tmp_path)


def test_a_key_with_a_passphrase_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "locked", keypair().export_private_key("pkcs8-pem", passphrase="secret"))
    with pytest.raises(HostKeyRefused, match="passphrase"):
        host_keys(tmp_path)


@pytest.mark.parametrize(("algorithm", "options"), [("ssh-rsa", {"key_size": 1024}), ("ssh-dss", {})])
def test_a_weak_key_is_refused(tmp_path: Path, algorithm: str, options: dict[str, int]) -> None:
    put(tmp_path, "weak", keypair(algorithm, **options).export_private_key("openssh"))
    with pytest.raises(HostKeyRefused, match="weak"):
        host_keys(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", os.urandom(64)], ids=["nothing", "text", "noise"])
def test_an_invalid_key_is_refused(tmp_path: Path, content: bytes) -> None:
    put(tmp_path, "notes.txt", content)
    with pytest.raises(HostKeyRefused, match="not a private key"):
        host_keys(tmp_path)
