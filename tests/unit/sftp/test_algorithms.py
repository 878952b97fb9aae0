"""The algorithms offered to clients, and the explanation for a client that shares none."""

from __future__ import annotations

import os

from asyncssh.packet import NameList

from server.sftp.algorithms import host_key_pairs, offered, unshared
from tests.support.keypairs import keypair

FAILED_BY_SSH_AUDIT = (
    "nistp", "sha1", "3des", "arcfour", "blowfish", "md5", "ssh-dss", "group-exchange", "group1-", "zlib",
)  # fmt: skip


def kexinit(*lists: list[bytes]) -> bytes:
    named = [*lists, *[[b"none"]] * (8 - len(lists))]
    return bytes([20]) + os.urandom(16) + b"".join(NameList(each) for each in named)


def test_nothing_is_offered_that_ssh_audit_fails() -> None:
    lists = offered(legacy=False)
    negotiated = [*lists["kex_algs"], *lists["encryption_algs"], *lists["mac_algs"], *lists["compression_algs"]]
    assert not [name for name in negotiated if any(bad in name for bad in FAILED_BY_SSH_AUDIT)]
    assert "ssh-rsa" not in lists["signature_algs"]


def test_legacy_adds_algorithms_and_removes_none() -> None:
    today, legacy = offered(legacy=False), offered(legacy=True)
    for kind, names in today.items():
        assert legacy[kind][: len(names)] == names
    assert "ssh-rsa" in legacy["signature_algs"]


def test_an_rsa_host_key_signs_with_sha_1_only_for_legacy() -> None:
    keys = [keypair(number=99), keypair("ssh-rsa", key_size=2048)]
    algorithms = [name for pair in host_key_pairs(keys, legacy=False) for name in pair.host_key_algorithms]
    assert algorithms == [b"ssh-ed25519", b"rsa-sha2-512", b"rsa-sha2-256"]
    legacy = [name for pair in host_key_pairs(keys, legacy=True) for name in pair.host_key_algorithms]
    assert legacy == [*algorithms, b"ssh-rsa"]


def test_both_lists_are_named_for_each_kind_of_algorithm_not_shared() -> None:
    said = unshared(
        kexinit([b"old-kex"], [b"shared"], [b"a", b"b"]), kexinit([b"new-kex"], [b"shared", b"x"], [b"b", b"c"])
    )
    assert said == ["no common key exchange: the client offers old-kex; the server offers new-kex"]


def test_a_broken_key_exchange_message_is_not_explained() -> None:
    assert unshared(b"", b"") == []
    assert unshared(b"\x14" + b"x" * 40, kexinit()) == []
