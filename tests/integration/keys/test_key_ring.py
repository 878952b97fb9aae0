"""The file of a tenant's keys: always complete, and every process sees a change at once."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest

from keys.errors import KeyRefused, RingUnreadable
from keys.file_ring import FileRing
from tests.support.keypairs import blob, public_line

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOME = ip_address("192.0.2.7")


@pytest.fixture
def ring(tmp_path: Path) -> FileRing:
    return FileRing(tmp_path / "keys.json")


def allowed(ring: FileRing, number: int = 0) -> bool:
    return ring.may_log_in("ssh-ed25519", blob(number=number), HOME, NOW).allowed


async def test_keys_added_or_revoked_by_another_process_take_effect_at_once(ring: FileRing) -> None:
    other = FileRing(ring.path)
    assert not allowed(ring)
    added = await other.add(public_line())
    assert allowed(ring)
    await other.revoke(added.fingerprint)
    assert not allowed(ring)


async def test_the_key_file_has_mode_0600(ring: FileRing) -> None:
    await ring.add(public_line())
    for path in ring.path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_half_written_file_is_not_read(ring: FileRing) -> None:
    await ring.add(public_line())
    ring.path.with_name("keys.json.new").write_text('{"keys": [')
    assert allowed(ring)
    await ring.add(public_line(number=1))
    assert allowed(FileRing(ring.path), 1)


@pytest.mark.parametrize("content", ["", "[]", '{"keys": 3}', '{"keys": [{}]}', '{"keys": [{"type": "x"}]}'])
async def test_no_login_is_allowed_if_the_key_file_cannot_be_read(ring: FileRing, content: str) -> None:
    await ring.add(public_line())
    ring.path.write_text(content)
    verdict = ring.may_log_in("ssh-ed25519", blob(), HOME, NOW)
    assert not verdict.allowed
    assert "is not a key file" in verdict.reason
    with pytest.raises(RingUnreadable):
        await ring.add(public_line(number=1))
    assert ring.path.read_text() == content


async def test_an_invalid_expiry_in_the_file_does_not_make_a_key_valid_forever(ring: FileRing) -> None:
    await ring.add(public_line(), expires="2027-01-31", now=NOW)
    data = json.loads(ring.path.read_text())
    data["keys"][0]["expires"] = "31.01.2027"
    ring.path.write_text(json.dumps(data))
    assert not allowed(ring)


async def test_a_lost_key_file_differs_from_one_that_never_existed(ring: FileRing) -> None:
    with pytest.raises(KeyRefused, match="there is no key"):
        await ring.revoke("SHA256:nothing")
    assert list(ring.path.parent.iterdir()) == []
    with pytest.raises(KeyRefused):
        await ring.add("no key")
    ring.path.with_suffix(".lock").touch()  # as an older Headcount wrote it
    assert not ring.is_lost()
    await ring.revoke((await ring.add(public_line())).fingerprint)
    assert not ring.is_lost()
    ring.path.unlink()
    assert ring.is_lost()
    await ring.add(public_line())
    assert not ring.is_lost()


async def test_the_loss_of_an_older_key_file_is_detected_once_it_was_noted(ring: FileRing) -> None:
    ring.note()
    assert list(ring.path.parent.iterdir()) == []
    await ring.add(public_line())
    ring.path.with_suffix(".lock").unlink()
    FileRing(ring.path).note()
    ring.path.unlink()
    assert ring.is_lost()
