-- Colleagues: who has a token, and the links by which they sign in without it.

-- The address to which sign-in links of the token are sent, in lower case; NULL: none.
ALTER TABLE tokens ADD COLUMN email TEXT;
CREATE INDEX tokens_by_email ON tokens (email) WHERE email IS NOT NULL;
CREATE INDEX tokens_of_tenant ON tokens (tenant, id);

-- Links that were sent and not used yet; `hash` is SHA-256 of the secret in the link. A link ends with its token.
CREATE TABLE sign_in_links (
    hash       BLOB PRIMARY KEY,
    token_id   INTEGER NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
    expires_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_in_links_of_token ON sign_in_links (token_id);
CREATE INDEX sign_in_links_in_time ON sign_in_links (expires_at);
