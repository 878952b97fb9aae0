"""The exceptions of the keys: each has a sentence a person can act on, and a code where callers need one."""

from __future__ import annotations

from ground.refusals import Refusal


class KeyRefused(Refusal):
    """This key, or a fact given with it, is refused. `code` is stable."""


class HostKeyRefused(Exception):  # noqa: N818 - a common name
    """A host key cannot be used; the message names the file and says what to do."""


class SecretRefused(Exception):  # noqa: N818 - a common name
    """The secret file cannot be used, or is not the one that data was sealed with; the message says what to do."""


class NotOpened(Exception):  # noqa: N818 - a state, not an error
    """A sealed value was sealed with another secret or for another place, or was changed."""


class RingUnreadable(Exception):  # noqa: N818 - a state, not an error
    """The file of a tenant's keys cannot be read or parsed; no user can log in with it."""
