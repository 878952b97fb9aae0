"""The users of one tenant: the tables of users.db, in the rows of the tenant."""
