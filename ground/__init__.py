"""What keys, importer and server stand on: moments, amounts, durable files, refusals. Knows none of them."""

PART_OF = "headcount"
