"""The worker: runs imports, ends them, and deletes expired data."""
