"""The store behind Headcount, as the server asks for it: values in, values out, one transaction a method.

The protocols are here and in `shared/`; the package of an engine has its SQL. Only the code that opens a store knows
its engine.
"""

PART_OF = "headcount"
