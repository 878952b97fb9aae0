"""Which public keys are accepted, and the messages for the others."""

import base64
import struct

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import KeyRefused
from keys.public import KINDS, parse_public_key
from tests.support.keypairs import blob, keypair, public_line

SK_ED25519 = (
    "sk-ssh-ed25519@openssh.com "
    "AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIPOIwxFHAkbPv1rGH/hAwxP+JwZiCsqFpYKlJBfE2YAKAAAABHNzaDo= token"
)


def refused(text: str) -> KeyRefused:
    with pytest.raises(KeyRefused) as caught:
        parse_public_key(text)
    assert "\n" not in caught.value.message
    return caught.value


def wire(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def line_of(*parts: bytes) -> str:
    return f"{parts[0].decode()} {base64.b64encode(wire(*parts)).decode()}"


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        ("ssh-ed25519", {}),
        ("ecdsa-sha2-nistp256", {}),
        ("ecdsa-sha2-nistp384", {}),
        ("ecdsa-sha2-nistp521", {}),
        ("ssh-rsa", {"key_size": 2048}),
    ],
)
def test_valid_keys_are_accepted_with_their_usual_fingerprint(algorithm: str, options: dict[str, int]) -> None:
    key = parse_public_key(public_line(algorithm, **options))
    assert key.kind == algorithm
    assert key.blob == blob(algorithm, **options)
    assert key.comment == "key 0"
    assert key.fingerprint == keypair(algorithm, **options).get_fingerprint()


def test_security_keys_are_accepted() -> None:
    assert parse_public_key(SK_ED25519).kind == "sk-ssh-ed25519@openssh.com"


def test_spaces_tabs_line_ends_and_a_byte_order_mark_around_a_key_are_ignored() -> None:
    kind, encoded, _ = public_line().split(" ", 2)
    key = parse_public_key(f"\ufeff  {kind}\t{encoded}\tÅsa at  HR \r\n")
    assert (key.base64, key.comment) == (encoded, "Åsa at  HR")


def test_short_rsa_keys_are_refused_as_weak() -> None:
    error = refused(public_line("ssh-rsa", key_size=1024))
    assert error.code == "key_weak"
    assert "1024" in error.message


def test_dsa_keys_are_refused_as_weak() -> None:
    assert refused("ssh-dss AAAAB3NzaC1kc3MAAACBAP1/U4EddRIpUt9KnC7s5Of2EbdSPO9EAMMeP4C2USZp me").code == "key_weak"


@pytest.mark.parametrize("form", ["openssh", "pkcs1-pem", "pkcs8-pem"])
def test_a_pasted_private_key_gets_its_own_message(form: str) -> None:
    text = keypair("ssh-rsa", key_size=2048).export_private_key(form).decode()
    error = refused(text)
    assert error.code == "key_private"
    assert "Stop using it" in error.message


def test_a_putty_private_key_gets_the_same_message() -> None:
    assert refused("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n").code == "key_private"


@pytest.mark.parametrize("form", ["rfc4716", "pkcs8-pem"])
def test_another_public_key_format_is_refused_with_the_command_to_convert_it(form: str) -> None:
    error = refused(keypair().export_public_key(form).decode())
    assert error.code == "key_format"
    assert "ssh-keygen -i" in error.message


def test_certificates_are_refused() -> None:
    cert = keypair(number=1).generate_user_certificate(keypair(), "me").export_certificate("openssh").decode()
    assert refused(cert).code == "key_certificate"


@pytest.mark.parametrize("separator", ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_a_second_key_cannot_hide_behind_any_kind_of_line_end(separator: str) -> None:
    assert refused(f"{public_line()}{separator}{public_line(number=1)}").code == "key_multiline"


@pytest.mark.parametrize(
    "options", ['from="10.0.0.0/8"', "restrict,no-pty", 'command="echo hi there"', 'expiry-time="2']
)
def test_options_before_a_key_are_refused(options: str) -> None:
    assert refused(f"{options} {public_line()}").code == "key_options"


@pytest.mark.parametrize("comment", ["a\x00b", "a\x1b[31mb", "a\u202eb", "x" * 201])
def test_a_misleading_comment_is_refused(comment: str) -> None:
    kind, encoded, _ = public_line().split(" ", 2)
    assert refused(f"{kind} {encoded} {comment}").code == "key_comment"


@pytest.mark.parametrize("text", ["", "  \n", "\ufeff"])
def test_an_empty_text_is_refused_as_empty(text: str) -> None:
    assert refused(text).code == "key_empty"


@pytest.mark.parametrize(
    "text", ["hello world", "ssh-ed448 AAAA", "ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5", "# comment"]
)
def test_an_invalid_key_is_refused(text: str) -> None:
    assert refused(text).code in {"key_type", "key_damaged"}


@pytest.mark.parametrize(
    "text",
    [
        public_line().split(" ")[0] + " " + public_line().split(" ")[1][:-8],
        public_line().replace("ssh-ed25519 ", "ecdsa-sha2-nistp256 "),
        line_of(b"ssh-ed25519", b"x" * 31),
        line_of(b"ssh-ed25519", b"x" * 32, b"more"),
        line_of(b"ecdsa-sha2-nistp256", b"nistp256", b"\x04" + b"\x01" * 64),
        line_of(b"ssh-rsa", b"\x03", b""),
    ],
    ids=["cut short", "of another type", "one byte short", "too long", "not on the curve", "without a modulus"],
)
def test_a_damaged_key_is_refused_as_damaged(text: str) -> None:
    assert refused(text).code == "key_damaged"


@given(st.binary(max_size=80), st.sampled_from(KINDS))
def test_random_bytes_after_a_type_raise_only_keyrefused(junk: bytes, kind: str) -> None:
    name = kind.encode()
    body = base64.b64encode(struct.pack(">I", len(name)) + name + junk).decode()
    try:
        key = parse_public_key(f"{kind} {body}")
    except KeyRefused:
        return
    assert asyncssh.import_public_key(f"{key.kind} {key.base64}").public_data == key.blob


@given(st.text(max_size=120))
def test_any_text_is_a_key_or_refused(text: str) -> None:
    with pytest.raises(KeyRefused):
        parse_public_key(text)
