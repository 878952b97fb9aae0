"""Hooks: the code that runs when a file lands at a path."""
