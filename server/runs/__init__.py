"""Hooks other than `sync_users`: found, matched with uploads, and run."""
