"""Who runs imports, ends them, and forgets what is too old."""
