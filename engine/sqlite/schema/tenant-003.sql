-- The order in which imports were applied, by a number: the clock may step back, this does not.
ALTER TABLE applied ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
UPDATE applied SET number = ordered.number FROM (
    SELECT import_id, row_number() OVER (ORDER BY applied_at, import_id) AS number FROM applied
) AS ordered WHERE ordered.import_id = applied.import_id;
CREATE UNIQUE INDEX applied_in_order ON applied (number);
