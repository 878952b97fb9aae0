"""Split the bytes of a file into records and cells."""
