"""Regular work of the server: retention, stale feeds, search indexes, metrics and the overview of all tenants."""
