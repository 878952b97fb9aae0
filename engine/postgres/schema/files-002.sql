-- The bytes of files in S3-compatible storage, in place of chunks.

ALTER TABLE contents
    -- The key of its object; NULL: its bytes are in chunks. No other content has had it, and none will.
    ADD COLUMN object text COLLATE "C",
    -- The SHA-256 of each 256 KiB of the object, one after the other; NULL: it is not known to be stored.
    ADD COLUMN sums bytea,
    ADD CHECK ((object IS NOT NULL AND sealed) = (sums IS NOT NULL));
-- A few of the sums are read without the rest.
ALTER TABLE contents ALTER COLUMN sums SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX contents_of_object ON contents (object) WHERE object IS NOT NULL;

-- Objects to delete, because their content was deleted, or because no content has them. A row is removed when its
-- object is.
CREATE TABLE ended_objects (
    object text COLLATE "C" PRIMARY KEY,
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When it was last tried to delete it; NULL: never.
    tried_at timestamptz
);
CREATE INDEX ended_objects_due ON ended_objects (due_at);

CREATE FUNCTION object_ended() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO ended_objects (object) VALUES (OLD.object)
        ON CONFLICT (object) DO UPDATE SET due_at = excluded.due_at;
    RETURN NULL;
END $$;
CREATE TRIGGER contents_end AFTER DELETE ON contents FOR EACH ROW WHEN (OLD.object IS NOT NULL)
    EXECUTE FUNCTION object_ended();
