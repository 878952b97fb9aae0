-- What is known of each tenant's folder without opening anything in it, so that a start and the rounds open only what
-- has changed. The folder is the truth: `seen` and `sound` say how its files looked, and while they look the same this
-- holds. A row or a value that is missing is found out again.
CREATE TABLE figures (
    tenant           TEXT PRIMARY KEY REFERENCES tenants (name) ON DELETE CASCADE,
    -- How users.db looked when the figures below were read in it.
    seen             TEXT,
    active           INTEGER,
    deactivated      INTEGER,
    stale_after_days INTEGER,
    retention_days   INTEGER,
    kept_bytes       INTEGER,
    -- Whether an invitation waits, and how long the log is that a search index follows.
    inviting         INTEGER,
    logged           INTEGER,
    -- How the whole folder looked when it was last found that it can be used.
    sound            TEXT,
    -- The newest import and the settings with which what is too old was last deleted; and when more is too old
    -- (RFC 3339 in UTC), NULL: not before one of these changes.
    pruned_for       TEXT,
    prune_at         TEXT
) STRICT, WITHOUT ROWID;

-- Whose copies a decision still needs.
CREATE INDEX imports_held ON imports (sequence) WHERE state = 'held' AND dry_run = 0;
