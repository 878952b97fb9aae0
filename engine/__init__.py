"""The store behind Headcount, as the server asks for it: values in, values out, one transaction a method.

The protocols are here; each package below has the SQL of one engine. Only the code that opens a store knows its
engine.
"""

PART_OF = "headcount"
