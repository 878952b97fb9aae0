"""How the server divides the descriptors of its process, and which settings exceed them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

MOST_KEPT = 4096
"""At most this many descriptors are kept from SFTP."""


def kept(limit: int) -> int:
    """Return how many of `limit` descriptors are kept for HTTP, the databases, imports and the log."""
    return min(limit // 2, 128 + limit // 8, MOST_KEPT)


def lowered(chosen: Mapping[str, int | None], allowed: Mapping[str, int]) -> Iterator[str]:
    """Yield one sentence for each setting in `chosen` that exceeds its maximum in `allowed`."""
    for name, most in allowed.items():
        wanted = chosen.get(name)
        if wanted is not None and wanted > most:
            limit = f"the descriptors of this process (ulimit -n) allow {most}"
            yield f"{name.upper()} is {wanted}, but {limit}. The server uses {most}."
