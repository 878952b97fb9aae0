"""The queue: the imports of all tenants and the changes of their states."""
