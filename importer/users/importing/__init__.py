"""What one import asks and writes of the users of a tenant: what is kept of them, in words of the import."""
