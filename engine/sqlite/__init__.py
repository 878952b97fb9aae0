"""The engine that is one SQLite file for the server (headcount.db), and one for each tenant (users.db)."""
