"""The tables of headcount.db."""
