"""Apply a file to the users: one import in one transaction."""
