"""The tenants: their folders, settings, tokens and sign-ins."""
