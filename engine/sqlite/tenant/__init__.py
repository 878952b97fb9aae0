"""users.db: the users of one tenant, and all data stored with them."""
