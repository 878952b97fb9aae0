"""What waits, and what became of it: every state of every import."""
