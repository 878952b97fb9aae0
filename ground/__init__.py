"""What keys, importer and server stand on: moments, words, durable files, refusals. Knows none of them."""

PART_OF = "headcount"
