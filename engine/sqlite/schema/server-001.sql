-- headcount.db: what the server itself must know. Its transactions are always short.

CREATE TABLE tenants (
    name           TEXT PRIMARY KEY,
    created_at     TEXT NOT NULL,
    -- The id of the tenant's newest import; ids are never used twice.
    last_import_id INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Access tokens; `hash` is SHA-256 of the token. The operator's have no tenant.
CREATE TABLE tokens (
    id         INTEGER PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE,
    tenant     TEXT REFERENCES tenants (name) ON DELETE CASCADE,
    role       TEXT NOT NULL CHECK (role IN ('owner', 'viewer', 'operator')),
    created_at TEXT NOT NULL,
    expires_at TEXT,
    CHECK ((tenant IS NULL) = (role = 'operator'))
) STRICT;

-- The imports of all tenants: the queue and its memory. States live here and nowhere else.
CREATE TABLE imports (
    tenant      TEXT NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    id          INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (state IN (
                    'arriving', 'queued', 'running', 'completed', 'completed_with_errors', 'unchanged', 'held',
                    'discarded', 'failed', 'superseded', 'undone', 'aborted', 'ignored')),
    dry_run     INTEGER NOT NULL CHECK (dry_run IN (0, 1)),
    -- The order in which files were completed, over all tenants.
    sequence    INTEGER NOT NULL,
    path        TEXT NOT NULL,
    size        INTEGER NOT NULL,
    sha256      TEXT,
    rows        INTEGER,
    -- JSON of model.Written; NULL: nobody knows.
    written     TEXT,
    -- 1: an errors.csv sent back; NULL: nobody has looked yet.
    correction  INTEGER,
    uploaded_at TEXT NOT NULL,
    started_at  TEXT,
    finished_at TEXT,
    -- Starts that have not ended yet; and when to try again, in seconds since 1970.
    attempts    INTEGER NOT NULL DEFAULT 0,
    not_before  REAL NOT NULL DEFAULT 0,
    -- 0 to 1 while running.
    progress    REAL,
    message     TEXT,
    -- JSON: counts, guard and messages of the report, once there is one.
    outcome     TEXT,
    -- JSON of model.Approval, while an approved import waits and runs.
    approval    TEXT,
    -- JSON of model.Undo, while an applied import waits to be undone, or is being undone.
    undo        TEXT,
    decided_by  TEXT,
    decided_at  TEXT,
    -- The state that the report in /results shows; NULL: there is none yet.
    published   TEXT,
    PRIMARY KEY (tenant, id),
    CHECK ((state = 'running') <= (started_at IS NOT NULL)),
    CHECK (approval IS NULL OR dry_run = 0),
    CHECK (undo IS NULL OR (dry_run = 0 AND outcome IS NOT NULL AND state IN ('queued', 'running')))
) STRICT;
CREATE UNIQUE INDEX imports_one_running ON imports (tenant) WHERE state = 'running';
CREATE UNIQUE INDEX imports_in_order ON imports (sequence);
CREATE INDEX imports_waiting ON imports (sequence) WHERE state IN ('arriving', 'queued', 'running');
-- Whose report in /results is behind its state. (None is owed before the first end.)
CREATE INDEX imports_unpublished ON imports (sequence)
    WHERE published IS NOT state AND state NOT IN ('arriving', 'running')
        AND (state <> 'queued' OR published IS NOT NULL);
CREATE INDEX imports_by_state ON imports (tenant, state, id);

-- What is to be told outside, a row a channel, written in the transaction that makes it so and read by server/notify.
CREATE TABLE outbox (
    id          INTEGER PRIMARY KEY,
    tenant      TEXT NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    channel     TEXT NOT NULL CHECK (channel IN ('mail', 'webhook')),
    -- What it is about; nobody is told twice about one thing.
    topic       TEXT NOT NULL,
    -- The same at every try, for receivers to tell that they had it.
    message_id  TEXT NOT NULL UNIQUE,
    -- JSON: a subject and a text, or the body of a webhook.
    content     TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    -- 'dropped': the tenant no longer wants to be told there.
    state       TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'given_up', 'dropped')),
    attempts    INTEGER NOT NULL DEFAULT 0,
    -- When to try again, in seconds since 1970.
    not_before  REAL NOT NULL DEFAULT 0,
    -- Why the last try failed.
    error       TEXT,
    finished_at TEXT,
    UNIQUE (tenant, channel, topic),
    CHECK ((state = 'waiting') = (finished_at IS NULL))
) STRICT;
CREATE INDEX outbox_waiting ON outbox (channel, not_before) WHERE state = 'waiting';

-- The check-sums that tenants sent for their files, the newest of each folder. `after` is the sequence of the newest
-- import when it landed; `import_id` the import that failed because it differs from this.
CREATE TABLE checksums (
    id        INTEGER PRIMARY KEY,
    tenant    TEXT NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    dry_run   INTEGER NOT NULL CHECK (dry_run IN (0, 1)),
    sha256    TEXT NOT NULL,
    after     INTEGER NOT NULL,
    import_id INTEGER
) STRICT;
CREATE INDEX checksums_of_folder ON checksums (tenant, dry_run, id);
