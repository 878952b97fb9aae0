"""The schema and its migrations: `server-001.sql` and so on."""
