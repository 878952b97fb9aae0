"""Shared basics of keys, importer and server: moments, words, durable files, refusals. Depends on none of them."""

PART_OF = "headcount"
