"""The clients that tests drive: what is said where one is missing."""

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


def test_the_gate_installs_every_client() -> None:
    assert [
        name for name, package in clients.PACKAGES.items() if f" {package or name} " not in CI.replace("\n", " ")
    ] == []
