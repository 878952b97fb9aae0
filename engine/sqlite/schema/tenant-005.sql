-- What the import that was applied last, and is not a correction, remembers for the next one: its file as it was then,
-- and what the meaning of its lines depended on. At most one row.
CREATE TABLE before (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    import_id   INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    sha256      TEXT NOT NULL,
    salt        BLOB NOT NULL,
    -- Last days before this one were over: where the clock has stepped back, they may not be.
    past        TEXT NOT NULL
) STRICT;

-- For each line of that file whom the row on it settled, so that the same line need not be looked at in the next file;
-- 0 for none. In parts, of ids of 32 bits each, as the machine writes them.
CREATE TABLE before_lines (
    part  INTEGER PRIMARY KEY,
    users BLOB NOT NULL
) STRICT;

-- Users who were changed since: by hand, by SQL, by a correction. Their lines are looked at again.
CREATE TABLE touched (user_id INTEGER PRIMARY KEY) STRICT;

-- It takes the place of a digest with each user.
DROP TRIGGER users_changed;
ALTER TABLE users DROP COLUMN digest;
CREATE TRIGGER users_touched AFTER UPDATE ON users BEGIN
    INSERT OR IGNORE INTO touched VALUES (NEW.id), (OLD.id);
END;
-- Of who is added by hand, perhaps in the place of another (REPLACE fires no other trigger), or gets another id, nothing
-- is known to the rows that name them. An import does without users_put (search.py).
CREATE TRIGGER users_moved AFTER UPDATE OF id ON users WHEN NEW.id IS NOT OLD.id BEGIN
    UPDATE meta SET revision = revision + 1;
END;
CREATE TRIGGER users_put AFTER INSERT ON users BEGIN UPDATE meta SET revision = revision + 1; END;
CREATE TRIGGER teams_put BEFORE INSERT ON teams
WHEN EXISTS (SELECT 1 FROM teams WHERE id = NEW.id OR key = NEW.key)
BEGIN
    UPDATE meta SET revision = revision + 1;
END;
CREATE TRIGGER locations_put BEFORE INSERT ON locations
WHEN EXISTS (SELECT 1 FROM locations WHERE id = NEW.id OR key = NEW.key)
BEGIN
    UPDATE meta SET revision = revision + 1;
END;

-- Few are admins, and each import asks for them.
CREATE INDEX users_admins ON users (id) WHERE role = 'admin';

-- An import creates most users in a row: one record 'created' is about the user `user_id` and the `more` users whose
-- ids come just before. Its `id` is that of the last of them; the others have the numbers before it, in the order of
-- their ids, and no record has these. At most 1,000 users share a record (users/runs.py), so a user's records are
-- found among the next 1,000 ids. A record of an older version is about one user.
ALTER TABLE changes ADD COLUMN more INTEGER NOT NULL DEFAULT 0;
CREATE INDEX changes_shared ON changes (user_id) WHERE more > 0;
