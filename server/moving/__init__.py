"""`headcount migrate`: moves an installation from a data folder into a database, or back."""
