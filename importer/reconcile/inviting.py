"""Who is invited: users whom an import makes active and whom nobody has invited before.

Written in the import's own transaction, so that one that is rolled back invites nobody. When and how they are sent is
decided in server/notify.
"""

from __future__ import annotations

import aiosqlite


async def invite(db: aiosqlite.Connection, import_id: int) -> int:
    """Put the users whom this import created, or brought back, among those to invite; how many these are.

    Whoever was invited before is not again; an invitation that was never delivered is tried anew.
    """
    done = await db.execute(
        """
        INSERT INTO invitations (user_id, import_id, message_id)
        SELECT u.id, c.import_id, lower(hex(randomblob(16)))
        FROM changes AS c JOIN users AS u ON u.id = c.user_id
        WHERE c.import_id = ? AND u.state = 'active' AND u.email IS NOT NULL
            AND (c.field = 'created' OR (c.field = 'state' AND c.new = 'active'))
        ON CONFLICT (user_id) DO UPDATE SET import_id = excluded.import_id, message_id = excluded.message_id,
            state = 'waiting', attempts = 0, not_before = 0, error = NULL
            WHERE state <> 'sent'
        """,
        (import_id,),
    )
    return done.rowcount
