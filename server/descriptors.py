"""How the descriptors of the process are shared out, and which settings they do not last for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

MOST_KEPT = 4096


def kept(limit: int) -> int:
    """Return how many of `limit` descriptors SFTP leaves to HTTP, the databases, imports and the log."""
    return min(limit // 2, 128 + limit // 8, MOST_KEPT)


def lowered(chosen: Mapping[str, int | None], allowed: Mapping[str, int]) -> Iterator[str]:
    """Yield one sentence for each setting (by name) that was chosen higher than the descriptors allow."""
    for name, most in allowed.items():
        wanted = chosen.get(name)
        if wanted is not None and wanted > most:
            setting = f"{name.upper()} is {wanted}"
            yield f"{setting}, but the files this process may open last for {most}. The server uses {most}."
