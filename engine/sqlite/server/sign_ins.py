"""The tables `sessions` and `sign_in_links`."""

from __future__ import annotations

from engine.sqlite.server.ledger import Inside, Ledger
from engine.sqlite.server.tokens import read_token
from engine.tokens import Token

LIVES = "expires_at > ? AND expires_at <= ?"
TOKEN_OF_LINK = f"SELECT * FROM tokens WHERE id = (SELECT token_id FROM sign_in_links WHERE hash = ? AND {LIVES})"  # noqa: S608


class SqliteSignInStore:
    """An `engine.sign_ins.SignInStore`. It reads through `looking`, so that no request waits for a write."""

    def __init__(self, ledger: Ledger, looking: Ledger) -> None:
        self._ledger = ledger
        self._looking = looking

    async def open(self, secret_hash: bytes, token: Token, *, now: str, ends: str, latest: str) -> bool:
        return await self._ledger.at_once(lambda db: _open(db, secret_hash, token.id, now, ends, latest))

    async def find(self, secret_hash: bytes, *, now: str, latest: str) -> Token | None:
        rows = await self._looking.read(
            f"SELECT * FROM tokens WHERE id = (SELECT token_id FROM sessions WHERE hash = ? AND {LIVES})",  # noqa: S608
            *(secret_hash, now, latest),
        )
        return next(map(read_token, rows), None)

    async def close(self, secret_hash: bytes) -> None:
        await self._ledger.change("DELETE FROM sessions WHERE hash = ?", secret_hash)

    async def add_link(self, secret_hash: bytes, token: Token, *, now: str, ends: str, latest: str) -> bool:
        def work(db: Inside) -> bool:
            db.execute(f"DELETE FROM sign_in_links WHERE NOT ({LIVES})", (now, latest))  # noqa: S608
            done = db.execute(
                "INSERT INTO sign_in_links (hash, token_id, expires_at) SELECT ?, id, ? FROM tokens"
                " WHERE id = ? AND email IS ?",
                (secret_hash, ends, token.id, token.email),
            )
            return done.rowcount > 0

        return await self._ledger.at_once(work)

    async def find_link(self, secret_hash: bytes, *, now: str, latest: str) -> Token | None:
        rows = await self._looking.read(TOKEN_OF_LINK, secret_hash, now, latest)
        return next(map(read_token, rows), None)

    async def open_by_link(
        self, link_hash: bytes, secret_hash: bytes, *, now: str, link_latest: str, ends: str, latest: str
    ) -> Token | None:
        def work(db: Inside) -> Token | None:
            token = next(map(read_token, db.execute(TOKEN_OF_LINK, (link_hash, now, link_latest))), None)
            if token is not None:
                db.execute("DELETE FROM sign_in_links WHERE hash = ?", (link_hash,))
                _open(db, secret_hash, token.id, now, ends, latest)
            return token

        return await self._ledger.at_once(work)


def _open(db: Inside, secret_hash: bytes, number: int, now: str, ends: str, latest: str) -> bool:
    """Store a session if the token with this id exists; return whether it does."""
    db.execute(f"DELETE FROM sessions WHERE NOT ({LIVES})", (now, latest))  # noqa: S608
    done = db.execute(
        "INSERT INTO sessions (hash, token_id, created_at, expires_at) SELECT ?, id, ?, ? FROM tokens WHERE id = ?",
        (secret_hash, now, ends, number),
    )
    return done.rowcount > 0
