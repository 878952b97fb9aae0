"""What listens, and what ties the parts together."""

PART_OF = "headcount"
