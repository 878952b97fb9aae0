"""The operator's secret file: one that cannot be a secret is refused in a sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keys.errors import SecretRefused
from keys.sealing import SECRET_MAX_BYTES, read_secret

SECRET = bytes(range(32))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    path.chmod(0o600)
    return path


def test_a_file_of_32_bytes_is_a_secret(file: Path) -> None:
    assert read_secret(file) == SECRET


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_line_end_that_an_editor_added_does_not_change_the_secret(file: Path, end: bytes) -> None:
    file.write_bytes(SECRET + end)
    assert read_secret(file) == SECRET


def test_a_missing_file_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(SecretRefused, match=r"is missing.*umask 077; head -c 32 /dev/urandom"):
        read_secret(tmp_path / "secret")


@pytest.mark.parametrize("content", [b"", SECRET[:31]], ids=["empty", "31 bytes"])
def test_a_short_file_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(SecretRefused, match=f"has {len(content)} bytes, fewer than 32"):
        read_secret(file)


def test_a_large_file_is_refused(file: Path) -> None:
    file.write_bytes(bytes(SECRET_MAX_BYTES + 1))
    with pytest.raises(SecretRefused, match="more than 65,536 bytes"):
        read_secret(file)


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o601])
def test_a_file_that_others_can_use_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(SecretRefused, match=f"can be read by others \\(mode {mode:04o}\\): chmod 600 {file}"):
        read_secret(file)


def test_a_file_of_another_user_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        os.chown(file, 65534, 65534)
    else:
        monkeypatch.setattr("os.geteuid", lambda: 65534)
    with pytest.raises(SecretRefused, match="belongs to another user"):
        read_secret(file)


def test_what_is_not_a_file_is_refused_without_a_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for place in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(SecretRefused, match="is not a file"):
            read_secret(place)


@pytest.mark.parametrize("broken", [lambda file: file.chmod(0o644), lambda file: file.write_bytes(SECRET[:31])])
def test_no_refusal_says_what_is_in_the_file(file: Path, broken) -> None:
    file.write_bytes(b"the words of the secret in the file of 2027")
    broken(file)
    with pytest.raises(SecretRefused) as caught:
        read_secret(file)
    assert "words" not in repr(caught.value)
    assert caught.value.__cause__ is None
