"""The tenants of a data folder."""
