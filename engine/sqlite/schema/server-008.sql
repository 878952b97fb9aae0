-- Hooks other than sync_users: their runs, and the paths they had when they were last loaded.

-- The id of the tenant's newest run; ids are never used twice.
ALTER TABLE tenants ADD COLUMN last_run_id INTEGER NOT NULL DEFAULT 0;

-- The runs of the hooks of all tenants. Their states are some of those of imports.
CREATE TABLE runs (
    tenant      TEXT NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    id          INTEGER NOT NULL,
    hook        TEXT NOT NULL,
    path        TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN (
                    'arriving', 'queued', 'running', 'completed', 'completed_with_errors', 'failed', 'aborted',
                    'ignored')),
    -- The order in which files were completed, over all tenants and hooks; a run that is run again is the last.
    sequence    INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    sha256      TEXT,
    uploaded_at TEXT NOT NULL,
    started_at  TEXT,
    finished_at TEXT,
    -- Starts since the upload or the last rerun; and when to try again, in seconds since 1970.
    attempts    INTEGER NOT NULL DEFAULT 0,
    not_before  REAL NOT NULL DEFAULT 0,
    -- For the tenant; and for the operator only.
    message     TEXT,
    error       TEXT,
    -- JSON: counts and messages of the report, once there is one.
    outcome     TEXT,
    -- The state that the report in /results shows; NULL: there is none yet.
    published   TEXT,
    PRIMARY KEY (tenant, id),
    CHECK ((state = 'running') <= (started_at IS NOT NULL)),
    CHECK ((state IN ('arriving', 'queued', 'running')) = (finished_at IS NULL))
) STRICT;
CREATE UNIQUE INDEX runs_in_order ON runs (sequence);
CREATE UNIQUE INDEX runs_one_running ON runs (tenant, hook) WHERE state = 'running';
CREATE INDEX runs_in_line ON runs (tenant, hook, sequence) WHERE state = 'queued';
CREATE INDEX runs_waiting ON runs (sequence) WHERE state IN ('arriving', 'queued', 'running');
CREATE INDEX runs_failed ON runs (sequence) WHERE state = 'failed';
CREATE INDEX runs_unpublished ON runs (sequence)
    WHERE published IS NOT state AND state NOT IN ('arriving', 'queued', 'running');
CREATE INDEX runs_published ON runs (tenant, hook, id) WHERE published IS NOT NULL;
CREATE INDEX runs_by_hook ON runs (tenant, hook, id);
CREATE INDEX runs_by_state ON runs (tenant, state, id);
CREATE INDEX runs_by_end ON runs (tenant, finished_at) WHERE finished_at IS NOT NULL;

-- A move of a run has its id, and 0 as the import.
ALTER TABLE moves ADD COLUMN run_id INTEGER;
CREATE TRIGGER runs_moved AFTER UPDATE OF state ON runs WHEN NEW.state <> OLD.state BEGIN
    INSERT INTO moves (tenant, import_id, run_id) VALUES (NEW.tenant, 0, NEW.id);
END;

-- The hooks of each module when it was last loaded: if it cannot be loaded now, uploads to these paths are refused.
CREATE TABLE hooks_loaded (
    module TEXT NOT NULL,
    name   TEXT NOT NULL,
    path   TEXT NOT NULL,
    PRIMARY KEY (module, name, path)
) STRICT, WITHOUT ROWID;
