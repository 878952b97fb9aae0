"""The SQLite engine: one file for the server (headcount.db), and one for each tenant (users.db)."""
