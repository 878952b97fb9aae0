"""The tenants: their folders, their settings, and who has access to them."""
