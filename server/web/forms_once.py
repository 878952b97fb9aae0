"""Forms that count only once: each has a random number, and a second sending of it changes nothing."""

from __future__ import annotations

import secrets

KNOWN_MOST = 10_000
"""The most numbers that are known at once. Above it, the one that was sent first is dropped."""


def new_form() -> str:
    """Return the number of a new form."""
    return secrets.token_urlsafe(16)


class FormsOnce:
    """The numbers of forms that were sent, by token."""

    def __init__(self) -> None:
        self._sent: dict[tuple[int, str], None] = {}

    def is_first(self, token: int, form: str) -> bool:
        """Note that the form was sent with this token. Return whether it was the first time; "" always is."""
        if not form:
            return True
        key = (token, form[:64])
        if key in self._sent:
            return False
        self._sent[key] = None
        if len(self._sent) > KNOWN_MOST:
            del self._sent[next(iter(self._sent))]
        return True
