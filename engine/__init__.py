"""What Headcount remembers, as its server asks for it: values in, values out, one method a transaction.

The protocols are here; a package below holds the SQL of one engine. Only what opens a store knows which engine it is.
"""

PART_OF = "headcount"
