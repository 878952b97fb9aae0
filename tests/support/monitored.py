"""Real causes of alerts and figures of a dashboard, for a running server."""

from __future__ import annotations

from tests.support.importing import people
from tests.support.server_process import ServerProcess

CREW = tuple(f"user{number}" for number in range(20))


def held_import(server: ServerProcess, tenant: str) -> int:
    """Let an import of `tenant`, which has `deactivate_missing`, be held; return its id."""
    server.put(tenant, people(*CREW))
    first = server.wait(tenant)
    assert first["state"] == "completed"
    server.put(tenant, people(CREW[0]))
    report = server.wait(tenant)
    assert report["state"] == "held"
    return int(report["id"])
