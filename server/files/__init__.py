"""A tenant's files, without any SSH: from the first byte of an upload to its place."""
