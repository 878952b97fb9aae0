-- Colleagues: who has a token, and the links by which they sign in without it.

-- The id of a token is never used again: logs, reports and the history of settings name tokens by it.
-- `email`: the address to which sign-in links of the token are sent, in lower case; NULL: none.
ALTER TABLE tokens RENAME TO tokens_before;
CREATE TABLE tokens (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    hash       BLOB NOT NULL UNIQUE,
    tenant     TEXT REFERENCES tenants (name) ON DELETE CASCADE,
    role       TEXT NOT NULL CHECK (role IN ('owner', 'viewer', 'operator')),
    created_at TEXT NOT NULL,
    expires_at TEXT,
    comment    TEXT NOT NULL DEFAULT '',
    email      TEXT,
    CHECK ((tenant IS NULL) = (role = 'operator'))
) STRICT;
INSERT INTO tokens (id, hash, tenant, role, created_at, expires_at, comment)
    SELECT id, hash, tenant, role, created_at, expires_at, comment FROM tokens_before;
CREATE INDEX tokens_by_email ON tokens (email) WHERE email IS NOT NULL;
CREATE INDEX tokens_of_tenant ON tokens (tenant, id);

-- The sessions as they were, with the new table of tokens.
ALTER TABLE sessions RENAME TO sessions_before;
CREATE TABLE sessions (
    hash       BLOB PRIMARY KEY,
    token_id   INTEGER NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO sessions SELECT hash, token_id, created_at, expires_at FROM sessions_before;
DROP TABLE sessions_before;
DROP TABLE tokens_before;
CREATE INDEX sessions_of_token ON sessions (token_id);
CREATE INDEX sessions_in_time ON sessions (expires_at);

-- Links that were sent and not used yet; `hash` is SHA-256 of the secret in the link. A link ends with its token.
CREATE TABLE sign_in_links (
    hash       BLOB PRIMARY KEY,
    token_id   INTEGER NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
    expires_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_in_links_of_token ON sign_in_links (token_id);
CREATE INDEX sign_in_links_in_time ON sign_in_links (expires_at);
