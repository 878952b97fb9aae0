"""The message of a test whose client is missing."""

from __future__ import annotations

import pytest

from tests.support import ROOT, clients

CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_a_missing_client_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "find_client", lambda name: None)
    clients._is_there.cache_clear()
    try:
        mark = clients.needs("sftp", "rclone", "no-such-client").mark
    finally:
        clients._is_there.cache_clear()
    assert mark.args == (True,)
    named = "sftp (Debian: openssh-client), rclone (Debian: rclone), no-such-client"
    assert mark.kwargs["reason"] == f"client not installed: {named}"


def test_a_missing_library_is_named_with_the_target_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "LIBRARIES", {clients.SSH2_SFTP_CLIENT: ("sh", "-c", "exit 1")})
    clients._is_there.cache_clear()
    try:
        mark = clients.needs(clients.SSH2_SFTP_CLIENT).mark
    finally:
        clients._is_there.cache_clear()
    assert mark.kwargs["reason"] == "client not installed: ssh2-sftp-client (make build/peers/node_modules)"


def test_the_gate_installs_every_client() -> None:
    installed = set(CI.split())
    assert [
        name for name, package in clients.PACKAGES.items() if not set((package or name).split()) <= installed
    ] == []
    assert [target for target in clients.MADE.values() if f"make {target}\n" not in CI] == []
