"""chacha20-poly1305@openssh.com as OpenSSH's clients choose it, with a third of the library's work for a packet.

The library makes three ciphers for every packet; here two are kept for all packets of a direction, and told the
number of each. What stands on the wire is the same (PROTOCOL.chacha20poly1305 of OpenSSH).
"""

from __future__ import annotations

from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.poly1305 import Poly1305

_FROM_0 = bytes(8)
_BLOCK = bytes(64)
_KEY = 32


class LeanChacha:
    """In the place of the library's `ChachaCipher`, with its keys: `key` for contents, `length_key` for lengths."""

    def __init__(self, key: bytes, length_key: bytes) -> None:
        self._contents, self._lengths = (_cipher(each) for each in (key, length_key))

    def encrypt_and_sign(self, header: bytes, data: bytes, nonce: bytes) -> tuple[bytes, bytes]:
        """The packet, and its tag."""
        key = self._begin(nonce)
        sealed = self.decrypt_header(header, nonce) + self._contents.update(data)
        return sealed, Poly1305.generate_tag(key, sealed)

    def decrypt_header(self, header: bytes, nonce: bytes) -> bytes:
        """The length of a packet, in the clear (or, of one in the clear, as it is sent)."""
        self._lengths.reset_nonce(_FROM_0 + nonce)
        return bytes(self._lengths.update(header))

    def verify_and_decrypt(self, header: bytes, data: bytes, nonce: bytes, tag: bytes) -> bytes | None:
        """The content of a packet; None if its tag is wrong."""
        key = self._begin(nonce)
        try:
            Poly1305.verify_tag(key, header + data, tag)
        except InvalidSignature:
            return None
        return bytes(self._contents.update(data))

    def _begin(self, nonce: bytes) -> bytes:
        """The key of the tag, which is the beginning of block 0; contents are from block 1 on."""
        self._contents.reset_nonce(_FROM_0 + nonce)
        return bytes(self._contents.update(_BLOCK)[:_KEY])


def _cipher(key: bytes) -> Any:
    return Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor()
