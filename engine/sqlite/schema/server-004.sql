-- The sources that may not connect over SFTP for now: an IPv4 address, or the /64 of an IPv6 one. Written by the
-- server, so that bans live over restarts; a row that something else deletes is a ban that was lifted.
CREATE TABLE bans (
    source TEXT PRIMARY KEY,
    -- RFC 3339 in UTC.
    until  TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;
