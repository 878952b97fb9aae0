"""What a file does to the users: one import in one transaction."""
