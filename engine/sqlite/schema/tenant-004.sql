-- The last day of a user (YYYY-MM-DD), as the file said; past it a row of theirs is a leaver's.
ALTER TABLE users ADD COLUMN leave_date TEXT;

-- The header of the file, as a JSON list of its cells: what was said of a column is not said again while it stays.
-- NULL: applied before this was kept.
ALTER TABLE applied ADD COLUMN header TEXT;

-- The address that was invited, as it is compared: who was invited there once is not again, under another number
-- either. Of invitations of before it is the address of now, or the last one that the history knows.
ALTER TABLE invitations ADD COLUMN email_key TEXT;
UPDATE invitations SET email_key = coalesce(
    (SELECT email_key FROM users WHERE id = user_id),
    (SELECT old FROM changes WHERE changes.user_id = invitations.user_id AND field = 'email_key' AND old IS NOT NULL
        ORDER BY id DESC LIMIT 1)
);
CREATE INDEX invitations_address ON invitations (email_key) WHERE email_key IS NOT NULL;
