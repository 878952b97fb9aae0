"""A company whose users are in PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import psycopg

from engine.postgres.database import alone
from engine.postgres.tenant.users import PostgresUsers
from importer.users.users import Users
from tests.support.importing import Company
from tests.support.postgres import database_for

TENANT = "acme"
ADD = "INSERT INTO tenants (name, created_at) VALUES (%s, '2026-01-01T00:00:00.000Z') ON CONFLICT DO NOTHING"
ID = "(SELECT id FROM tenants WHERE name = %s)"


class PostgresCompany(Company):
    """The same, as the tenant `acme` of the database that belongs to the folder."""

    def _users(self) -> Users:
        with ThreadPoolExecutor(1) as thread:  # there may be an event loop already
            self.url = thread.submit(asyncio.run, self._opened()).result()
        return PostgresUsers(self.url, TENANT)

    async def _opened(self) -> str:
        url = await database_for(self.folder)
        async with alone(url) as database:
            await database.change(ADD, TENANT)
        await PostgresUsers(url, TENANT).prepare(make=True)
        return url

    async def _store_identifier(self, identifier: str | None) -> None:
        with psycopg.connect(self.url) as db:
            db.execute(f"DELETE FROM settings WHERE key = 'identifier' AND tenant_id = {ID}", (TENANT,))
            if identifier:
                values = (TENANT, json.dumps(identifier))
                db.execute(f"INSERT INTO settings (tenant_id, key, value) VALUES ({ID}, 'identifier', %s)", values)
