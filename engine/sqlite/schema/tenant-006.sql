-- The numbers under which applications follow the changes: a change's `id` plus `base`. `gone` is the highest number
-- that was ever deleted: what comes after it is complete. SQLite gives deleted ids again, and `base` then grows, so no
-- number means two changes. Numbers up to `gone` may move; they are not shown.
-- The first number is `began`, at random: the numbers of a removed tenant mean nothing in a new one of its name.
-- JavaScript counts exactly to 2^53, so as many numbers follow.
-- An older version did not record what it deleted, so its history is not followed.
ALTER TABLE meta ADD COLUMN began INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN base INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
UPDATE meta SET began = 1 + abs(random() % 4503599627370496);
UPDATE meta SET base = began, gone = began + (SELECT coalesce(max(id), 0) FROM changes);
CREATE TRIGGER changes_gone AFTER DELETE ON changes BEGIN
    UPDATE meta SET gone = max(gone, OLD.id + base);
    UPDATE meta SET base = max(base, gone - (SELECT coalesce(max(id), 0) FROM changes));
END;
