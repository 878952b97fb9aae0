"""Backups of the data folder, and their restore."""
