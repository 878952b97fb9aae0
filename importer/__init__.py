"""The meaning of a file, and what it changes of the users.

Knows nothing of SSH, HTTP, Prometheus or the environment.
"""

PART_OF = "headcount"
