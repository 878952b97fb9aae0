"""What every refusal is: a code that programs can tell apart, and a sentence that a person can act on. Pure."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818 - the field's word
    """Something that is not done, and why. `code` is stable; `message` is a sentence without a full stop."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
