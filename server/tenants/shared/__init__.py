"""What a server without a data folder has in its database instead of in files: keys, host keys, secrets, marks."""
