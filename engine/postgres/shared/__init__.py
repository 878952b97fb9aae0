"""Keys, host keys, secrets and marks in the database, for servers without a data folder."""
