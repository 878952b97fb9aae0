"""users.db: the users of one tenant, and all that is kept with them."""
