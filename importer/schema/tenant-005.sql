-- What the import that was applied last, and is not a correction, remembers for the next one: its file as it was then,
-- and what the meaning of its lines depended on. At most one row.
CREATE TABLE before (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    import_id   INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    sha256      TEXT NOT NULL,
    salt        BLOB NOT NULL
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
    INSERT OR IGNORE INTO touched VALUES (NEW.id);
END;

-- Few are admins, and each import asks for them.
CREATE INDEX users_admins ON users (id) WHERE role = 'admin';
