"""The work that waits until the last row is in: rows and links of other rows, changed addresses, absent users."""
