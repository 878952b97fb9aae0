"""Protocols of what a database has in place of the files of a data folder: files, their objects, keys and secrets."""
