-- Files that come by the page or the API, and what their dry runs were compared with.

-- The comment of the token that sent the file; NULL: it came over SFTP.
ALTER TABLE imports ADD COLUMN sent_by TEXT;
-- The dry run of the same file whose result the sender saw.
ALTER TABLE imports ADD COLUMN tested INTEGER;
-- Of a dry run: the newest applied import when it ended; NULL: none was applied.
ALTER TABLE imports ADD COLUMN users_as_of INTEGER;
