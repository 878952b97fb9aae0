"""What happens when a file lands at a path."""
