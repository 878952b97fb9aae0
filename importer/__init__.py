"""Reads a file of users and applies it to the users of a tenant.

Does not depend on SSH, HTTP, Prometheus or the environment.
"""

PART_OF = "headcount"
