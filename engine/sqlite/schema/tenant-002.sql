-- What the search index beside this file (search.db) has not seen yet: who was changed in what is searched, who was
-- removed, and who was added by anybody but an import, for the users of imports are known by their ids, which only grow.
-- A row without a user tells that there was an import, or an undo. What the index has seen is taken away but for the
-- newest row: by its nonce an index tells these users from those of another copy of this file.
CREATE TABLE search_log (
    seq     INTEGER PRIMARY KEY,
    user_id INTEGER,
    nonce   INTEGER NOT NULL DEFAULT (random())
) STRICT;
INSERT INTO search_log (user_id) VALUES (NULL);

CREATE TRIGGER users_search_changed AFTER UPDATE OF id, first_name, last_name, email, external_id, state ON users
WHEN NEW.id IS NOT OLD.id OR NEW.first_name IS NOT OLD.first_name OR NEW.last_name IS NOT OLD.last_name
    OR NEW.email IS NOT OLD.email OR NEW.external_id IS NOT OLD.external_id OR NEW.state IS NOT OLD.state
BEGIN
    INSERT INTO search_log (user_id) VALUES (NEW.id);
END;
CREATE TRIGGER users_search_removed AFTER DELETE ON users BEGIN
    INSERT INTO search_log (user_id) VALUES (OLD.id);
END;
-- An import does without this one (search.py).
CREATE TRIGGER users_search_added AFTER INSERT ON users BEGIN
    INSERT INTO search_log (user_id) VALUES (NEW.id);
END;
CREATE TRIGGER applied_search AFTER INSERT ON applied BEGIN INSERT INTO search_log (user_id) VALUES (NULL); END;
CREATE TRIGGER undone_search AFTER UPDATE OF undone ON applied BEGIN
    INSERT INTO search_log (user_id) VALUES (NULL);
END;
