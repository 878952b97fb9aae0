"""The token of a request to the API (RFC 6750)."""

from __future__ import annotations


def bearer(header: str | None) -> str | None:
    """The token in an Authorization header; None if there is none."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
