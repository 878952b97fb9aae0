"""The reads and writes of one import in users.db, in its one transaction."""
