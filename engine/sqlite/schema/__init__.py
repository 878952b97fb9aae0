"""The schemas of both databases and their migrations, in one place."""
