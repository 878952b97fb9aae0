"""Access tokens in headcount.db."""

from __future__ import annotations

from pathlib import Path

from engine.tokens import Role
from server.tenants.tokens import Tokens
from tests.support.installation import open_tenants


async def test_the_text_of_a_token_is_stored_nowhere(tmp_path: Path) -> None:
    async with open_tenants(tmp_path) as tenants:
        await tenants.add("acme")
        _, text = await Tokens(tenants.store.tokens()).create("acme", Role.OWNER)
        assert all(text.encode() not in path.read_bytes() for path in tmp_path.glob("headcount.db*"))
