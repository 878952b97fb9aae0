-- The web page: who is signed in, and by what name they decide.

-- What a token is known by to people, such as the name of who has it.
ALTER TABLE tokens ADD COLUMN comment TEXT NOT NULL DEFAULT '';

-- Browsers that are signed in; `hash` is SHA-256 of the cookie. A session ends with its token.
CREATE TABLE sessions (
    hash       BLOB PRIMARY KEY,
    token_id   INTEGER NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_of_token ON sessions (token_id);
CREATE INDEX sessions_in_time ON sessions (expires_at);
