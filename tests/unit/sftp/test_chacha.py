"""The lean cipher writes the same bytes as the library's cipher, and reads them."""

from __future__ import annotations

import os
from typing import Any

import pytest
from asyncssh.crypto.chacha import ChachaCipher

from server.sftp.chacha import LeanChacha

KEY = bytes(range(64))
SIZES = [8, 32, 64, 1000, 32768]


def both() -> tuple[Any, LeanChacha]:
    library: Any = ChachaCipher(KEY)
    return library, LeanChacha(library._key, library._adkey)


def nonce(number: int) -> bytes:
    return number.to_bytes(8, "big")


@pytest.mark.parametrize("size", SIZES)
def test_packets_are_encrypted_as_the_library_encrypts_them(size: int) -> None:
    library, lean = both()
    for number in (0, 1, 7, 2**32 - 1, 0):
        data = os.urandom(size)
        header = size.to_bytes(4, "big")
        assert lean.encrypt_and_sign(header, data, nonce(number)) == library.encrypt_and_sign(
            header, data, nonce(number)
        )


@pytest.mark.parametrize("size", SIZES)
def test_packets_of_the_library_are_decrypted(size: int) -> None:
    library, lean = both()
    for number in (3, 4, 3):
        data, header = os.urandom(size), size.to_bytes(4, "big")
        sealed, tag = library.encrypt_and_sign(header, data, nonce(number))
        assert lean.decrypt_header(sealed[:4], nonce(number)) == header
        assert lean.verify_and_decrypt(sealed[:4], sealed[4:], nonce(number), tag) == data


@pytest.mark.parametrize("broken", ["length", "content", "tag", "number"])
def test_a_changed_packet_is_not_decrypted(broken: str) -> None:
    _, lean = both()
    sealed, tag = lean.encrypt_and_sign(b"\0\0\0\x08", bytes(8), nonce(1))
    parts = {"length": sealed[:4], "content": sealed[4:], "tag": tag, "number": nonce(1)}
    parts[broken] = bytes((parts[broken][0] ^ 1,)) + parts[broken][1:]
    assert lean.verify_and_decrypt(parts["length"], parts["content"], parts["number"], parts["tag"]) is None
