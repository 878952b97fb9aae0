"""Every exception of the keys: a sentence a person can act on, and a code where somebody may tell them apart."""

from __future__ import annotations

from ground.refusals import Refusal


class KeyRefused(Refusal):
    """We don't take this key, or what was said about it. `code` is stable."""


class HostKeyRefused(Exception):  # noqa: N818 - the field's word
    """A host key can't be used; the message names the file and says what to do."""


class RingUnreadable(Exception):  # noqa: N818 - what it is
    """The file of a tenant's keys can't be read or understood; nobody may log in with it."""
