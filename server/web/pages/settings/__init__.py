"""The page of a tenant's settings, with its form."""
