-- users.db: the users of one tenant, their history, and the tenant's settings.

-- One row. `revision` salts the digests: raising it makes every row of the next file be looked at again.
CREATE TABLE meta (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO meta VALUES (1, 1);

-- Only what differs from the defaults; `value` is JSON.
CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Every change of a setting: who, when (RFC 3339 in UTC), and what; `old` and `new` are JSON.
CREATE TABLE settings_changes (
    id         INTEGER PRIMARY KEY,
    changed_at TEXT NOT NULL,
    changed_by TEXT NOT NULL,
    key        TEXT NOT NULL,
    old        TEXT NOT NULL,
    new        TEXT NOT NULL
) STRICT;

-- `key` is the name as it is compared; `name` is the first spelling, which stays.
CREATE TABLE teams (
    id   INTEGER PRIMARY KEY,
    key  TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL
) STRICT;

CREATE TABLE locations (
    id   INTEGER PRIMARY KEY,
    key  TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL
) STRICT;

CREATE TABLE users (
    id                 INTEGER PRIMARY KEY,
    -- The value of the custom identifier, where a tenant has one.
    external_id        TEXT,
    -- The address as it is compared (NFC, lower case). One that lost it to somebody else has none.
    email_key          TEXT UNIQUE,
    email              TEXT,
    first_name         TEXT NOT NULL,
    last_name          TEXT NOT NULL,
    job_title          TEXT,
    manager_id         INTEGER REFERENCES users (id) DEFERRABLE INITIALLY DEFERRED,
    coach_id           INTEGER REFERENCES users (id) DEFERRABLE INITIALLY DEFERRED,
    primary_team_id    INTEGER REFERENCES teams (id) DEFERRABLE INITIALLY DEFERRED,
    -- Team ids in the order of the file: '3,5'; '' for none.
    secondary_team_ids TEXT NOT NULL DEFAULT '',
    role               TEXT NOT NULL DEFAULT 'learner',
    language           TEXT NOT NULL DEFAULT 'en',
    location_id        INTEGER REFERENCES locations (id) DEFERRABLE INITIALLY DEFERRED,
    time_zone          TEXT,
    hire_date          TEXT,
    -- JSON by the key of the custom field, keys in order; a blank field is not there.
    custom             TEXT NOT NULL DEFAULT '{}',
    state              TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'deactivated')),
    protected          INTEGER NOT NULL DEFAULT 0 CHECK (protected IN (0, 1)),
    -- 0: the import that created this user was undone. Deactivated, and to later imports nobody; if they come again,
    -- this is their record.
    known              INTEGER NOT NULL DEFAULT 1 CHECK (known IN (0, 1)),
    -- The digest of the row that last wrote this user and said nothing about it; NULL: look at the row again.
    digest             BLOB,
    CHECK ((email IS NULL) = (email_key IS NULL))
) STRICT;

CREATE UNIQUE INDEX users_external_id ON users (external_id) WHERE external_id IS NOT NULL;
CREATE INDEX users_manager ON users (manager_id) WHERE manager_id IS NOT NULL;
CREATE INDEX users_coach ON users (coach_id) WHERE coach_id IS NOT NULL;
CREATE INDEX users_deactivated ON users (id) WHERE state = 'deactivated';

-- Whoever changes a user without saying from which row (by hand, by SQL) makes the next import look again.
CREATE TRIGGER users_changed AFTER UPDATE ON users
WHEN NEW.digest IS OLD.digest AND NEW.digest IS NOT NULL
BEGIN
    UPDATE users SET digest = NULL WHERE id = NEW.id;
END;
CREATE TRIGGER users_activated AFTER UPDATE OF state ON users
WHEN NEW.state = 'active' AND NEW.known = 0
BEGIN
    UPDATE users SET known = 1 WHERE id = NEW.id;
END;
CREATE TRIGGER teams_changed AFTER UPDATE ON teams BEGIN UPDATE meta SET revision = revision + 1; END;
-- Whoever removes by hand seldom has foreign keys on; and an id that is free again may be given to somebody else.
CREATE TRIGGER teams_removed AFTER DELETE ON teams BEGIN
    UPDATE meta SET revision = revision + 1;
    UPDATE users SET primary_team_id = NULL WHERE primary_team_id = OLD.id;
    UPDATE users SET secondary_team_ids = trim(replace(',' || secondary_team_ids || ',', ',' || OLD.id || ',', ','), ',')
        WHERE instr(',' || secondary_team_ids || ',', ',' || OLD.id || ',');
END;
CREATE TRIGGER locations_changed AFTER UPDATE ON locations BEGIN UPDATE meta SET revision = revision + 1; END;
CREATE TRIGGER locations_removed AFTER DELETE ON locations BEGIN
    UPDATE meta SET revision = revision + 1;
    UPDATE users SET location_id = NULL WHERE location_id = OLD.id;
END;
-- A user who goes, or becomes somebody else, may be who other rows name as manager. (The only changes of an import
-- that are meant here are those of addresses where they are not the identifier: seldom, and then it costs one look.)
CREATE TRIGGER users_removed AFTER DELETE ON users BEGIN
    UPDATE meta SET revision = revision + 1;
    UPDATE users SET manager_id = NULL WHERE manager_id = OLD.id;
    UPDATE users SET coach_id = NULL WHERE coach_id = OLD.id;
END;
CREATE TRIGGER users_renamed AFTER UPDATE OF external_id, email_key ON users
WHEN NEW.external_id IS NOT OLD.external_id OR NEW.email_key IS NOT OLD.email_key
BEGIN
    UPDATE meta SET revision = revision + 1;
END;

-- Every import that was applied, written in the transaction of its effects: whether it is here decides, after a
-- crash, whether it happened. `compared` is 1 if the next file is compared with it (not so for corrections).
-- `undone` is the outcome of its undo, written in the transaction that put everything back.
CREATE TABLE applied (
    import_id  INTEGER PRIMARY KEY,
    applied_at TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    rows       INTEGER NOT NULL,
    last_user  INTEGER,
    compared   INTEGER NOT NULL CHECK (compared IN (0, 1)),
    undone_at  TEXT,
    undone     TEXT,
    CHECK ((undone IS NULL) = (undone_at IS NULL))
) STRICT;

-- Who was changed, and how. `field` is a column of users; 'created' is one record without values. A custom field is
-- 'custom.KEY': `old` and `new` are the JSON of its value there, NULL where it has none. `undo` is 1 for what the undo
-- of the import put back.
CREATE TABLE changes (
    id        INTEGER PRIMARY KEY,
    import_id INTEGER NOT NULL,
    user_id   INTEGER NOT NULL,
    field     TEXT NOT NULL,
    old       ANY,
    new       ANY,
    undo      INTEGER NOT NULL DEFAULT 0 CHECK (undo IN (0, 1))
) STRICT;
CREATE INDEX changes_import ON changes (import_id);
CREATE INDEX changes_user ON changes (user_id);

-- Who is to be invited, or was: written in the transaction of the import that created them, sent afterwards. A user is
-- here once, so nobody is invited twice.
CREATE TABLE invitations (
    user_id    INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    import_id  INTEGER NOT NULL,
    -- The same at every try.
    message_id TEXT NOT NULL UNIQUE,
    state      TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'given_up')),
    attempts   INTEGER NOT NULL DEFAULT 0,
    -- When to try again, in seconds since 1970.
    not_before REAL NOT NULL DEFAULT 0,
    error      TEXT,
    sent_at    TEXT,
    CHECK ((state = 'sent') = (sent_at IS NOT NULL))
) STRICT;
CREATE INDEX invitations_waiting ON invitations (not_before) WHERE state = 'waiting';
