"""The tables that belong to the servers: tenants, the queue, tokens and so on."""
