"""Bytes become records, and records become cells: what a file is, whoever sent it."""
