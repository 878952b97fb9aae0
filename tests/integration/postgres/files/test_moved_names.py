"""Names of files that a move stores: none refers to what a crash has lost."""

from __future__ import annotations

import os
import tempfile

from engine.postgres.database import alone, pooled
from engine.postgres.files.contents import PostgresContents
from engine.postgres.files.moving import Name, NamesToMove
from engine.postgres.migrations import migrate
from engine.shared.files import ROOT
from tests.support.clients import POSTGRES, needs
from tests.support.own_postgres import OwnPostgres, own_postgres

pytestmark = needs(POSTGRES)


def crash(server: OwnPostgres) -> None:
    server.stop()
    server.start()


async def test_moved_names_survive_a_crash_while_the_move_goes_on() -> None:
    """The ids of folders are in the memory of the move. One of a folder that is lost would be a name in no folder."""
    with own_postgres() as server, tempfile.TemporaryFile() as file:
        async with alone(server.url) as database:
            await migrate(database)
            await database.change("INSERT INTO tenants (id, name, created_at) VALUES (1, 'acme', 'now')")
        os.pwrite(file.fileno(), b"data", 0)
        async with pooled(server.url, most=1) as database:
            names = NamesToMove(database, 1)
            folder = await names.add_folder(Name(ROOT, b"a", None, 0, 1, 1, None))
            crash(server)
            content = await PostgresContents(database).store("acme", file.fileno(), 4)
            await names.add([Name(folder, b"b", content, 4, 1, 1, None)], [("uploads/1.csv", content, 4)])
            crash(server)
            assert {each.name: each.folder for each in await names.names()} == {b"a": ROOT, b"b": folder}
            assert await names.kept() == [("uploads/1.csv", content, 4)]
