"""The base of every refusal: a code that programs can distinguish, and a sentence a person can act on. Pure."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818 - a common name
    """An action that was refused, and why. `code` is stable; `message` is a sentence without a full stop."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
