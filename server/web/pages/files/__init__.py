"""The page `Files`: what the hooks other than `sync_users` did with uploaded files."""
