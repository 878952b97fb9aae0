-- The bytes of files that landed and may not be on the disk under their names yet: a start places them again.
CREATE TABLE landed_files (
    tenant     TEXT NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    run_id     INTEGER NOT NULL,
    path       TEXT NOT NULL,
    content    BLOB NOT NULL,
    -- When the bytes were changed, in nanoseconds since 1970.
    changed_ns INTEGER NOT NULL,
    PRIMARY KEY (tenant, run_id)
) STRICT, WITHOUT ROWID;
