"""What one import asks and writes of users.db, in its one transaction."""
