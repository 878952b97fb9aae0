"""Webhooks as Standard Webhooks specifies them: signed, one POST an attempt, no redirects."""

from __future__ import annotations

import json

from ground.moments import Clock, utc_now
from server.guarded import NoAnswer, Poster
from server.signing import signed_headers

TIMEOUT_S = 20.0
"""Seconds of one attempt, from the name look-up to the status of the answer."""


class WebhookFailed(Exception):  # noqa: N818 - what is the case
    """The receiver did not accept the webhook. `for_good`: it answered 410, so it never will."""

    def __init__(self, reason: str, *, for_good: bool = False) -> None:
        super().__init__(reason)
        self.for_good = for_good


class Webhooks:
    """Sends webhooks. Each has its own connection, so tenants share nothing."""

    def __init__(self, *, allow_private: bool, timeout_s: float = TIMEOUT_S, clock: Clock = utc_now) -> None:
        self._poster = Poster(allow_private=allow_private)
        self._timeout_s = timeout_s
        self._clock = clock

    async def send(self, url: str, secret: str, message_id: str, content: dict[str, object]) -> None:
        """POST `content` to `url`. Raises WebhookFailed unless the answer is 2xx."""
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {
            "content-type": "application/json",
            **signed_headers(secret, f"msg_{message_id}", self._clock(), [body]),
        }
        try:
            status = await self._poster.post(url, headers, body, self._timeout_s)
        except NoAnswer as error:
            raise WebhookFailed(str(error)) from error
        if not 200 <= status < 300:
            raise WebhookFailed(f"the receiver answered {status}", for_good=status == 410)
