"""Keys, host keys, secrets and marks in a database, for a server without a data folder."""
