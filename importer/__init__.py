"""What a file means and what it does to the users.

Knows nothing of SSH, HTTP, Prometheus or the environment.
"""

PART_OF = "headcount"
