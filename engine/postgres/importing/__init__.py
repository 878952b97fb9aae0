"""The reads and writes of one import in PostgreSQL, in its one transaction."""
