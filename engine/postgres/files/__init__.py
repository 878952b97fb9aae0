"""Files in PostgreSQL: their contents, and the names that they have."""
