"""The PostgreSQL engine: one database for the server and all tenants. Only this package knows psycopg."""
