-- What must not go by a clock that may step back: the order of imports, and how long a message could not be sent.

-- The order in which a tenant's imports were applied, written with their end; NULL: never applied. It stays when an
-- import is undone.
ALTER TABLE imports ADD COLUMN applied_number INTEGER;
UPDATE imports SET applied_number = ordered.number FROM (
    SELECT tenant, id, row_number() OVER (PARTITION BY tenant ORDER BY finished_at, id) AS number FROM imports
    WHERE dry_run = 0
        AND (undo IS NOT NULL OR state IN ('completed', 'completed_with_errors', 'unchanged', 'undone'))
) AS ordered WHERE ordered.tenant = imports.tenant AND ordered.id = imports.id;
DROP INDEX imports_applied;
CREATE UNIQUE INDEX imports_applied ON imports (tenant, applied_number) WHERE applied_number IS NOT NULL;

-- How long a message has waited while the server ran, as far as was counted: by a clock that never steps.
ALTER TABLE outbox ADD COLUMN waited_s REAL NOT NULL DEFAULT 0;
