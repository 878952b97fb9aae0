"""Access tokens in headcount.db."""

from __future__ import annotations

from pathlib import Path

from engine.tokens import Role
from server.tenants.access.tokens import Tokens
from tests.support.installation import installation


async def test_the_text_of_a_token_is_stored_nowhere(tmp_path: Path) -> None:
    stored = installation(tmp_path)
    async with stored.open() as tenants:
        await tenants.add("acme")
        _, text = await Tokens(tenants.store.tokens()).create("acme", Role.OWNER)
        assert stored.holds("acme")
        assert not stored.holds(text)
