"""The log says at each start, and regularly, that sending is off."""

from __future__ import annotations

from pathlib import Path

import pytest

from ground.moments import from_rfc3339
from server.notify import service
from server.notify.outbox import Outbox
from server.notify.service import Notifications
from server.upkeep.metrics import Metrics
from tests.support.installation import installation
from tests.support.waiting import eventually

SINCE = "2026-03-31T02:10:00.000Z"
SENTENCE = (
    f"Sending is off since {SINCE}: the server sends no mail, webhook or invitation. "
    "To turn it on: headcount notify on."
)


@pytest.mark.logs("sending_off")
async def test_the_log_says_at_the_start_and_again_that_sending_is_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "REMIND_S", 0.05)
    stored = installation(tmp_path)
    async with stored.open() as tenants:
        notifications = Notifications(stored.settings(), tenants, Outbox(tenants.store.outbox()), Metrics())
        await tenants.sending.turn_off(from_rfc3339(SINCE))
        notifications.start()
        try:
            await eventually(lambda: [record.message for record in caplog.records].count(SENTENCE) > 1)
        finally:
            await notifications.stop(5)
