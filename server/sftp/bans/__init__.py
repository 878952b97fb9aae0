"""Bans of addresses whose connections end without a login: how long, where they hold, and how they are kept."""
