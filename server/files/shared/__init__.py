"""A tenant's files in the database that all nodes share: names that refer to contents, which never change."""
