-- The web page: who is signed in and by what name they decide, what they try and watch; and when keys were used.

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

-- JSON of model.Trial: a dry run that somebody asked for on the page or over the API; NULL for what came over SFTP.
ALTER TABLE imports ADD COLUMN trial TEXT CHECK (trial IS NULL OR dry_run = 1);

-- The imports that had their effect, in the order in which they had it.
CREATE INDEX imports_applied ON imports (tenant, finished_at, id)
    WHERE dry_run = 0 AND state IN ('completed', 'completed_with_errors', 'unchanged');

-- The imports whose state changed, newest last, so that whoever watches sees what happened since they looked. Only the
-- last ten thousand are remembered: whoever has been away for longer looks at everything.
CREATE TABLE moves (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant    TEXT NOT NULL,
    import_id INTEGER NOT NULL
) STRICT;
CREATE TRIGGER imports_moved AFTER UPDATE OF state ON imports WHEN NEW.state <> OLD.state BEGIN
    INSERT INTO moves (tenant, import_id) VALUES (NEW.tenant, NEW.id);
END;
CREATE TRIGGER moves_forgotten AFTER INSERT ON moves BEGIN
    DELETE FROM moves WHERE id <= NEW.id - 10000;
END;

-- When and from where each key last opened a connection.
CREATE TABLE key_uses (
    tenant      TEXT NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    fingerprint TEXT NOT NULL,
    used_at     TEXT NOT NULL,
    address     TEXT NOT NULL,
    PRIMARY KEY (tenant, fingerprint)
) STRICT, WITHOUT ROWID;
