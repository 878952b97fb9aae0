"""Reads a file of users and applies it to a tenant.

Does not depend on SSH, HTTP, Prometheus or the environment.
"""

PART_OF = "headcount"
