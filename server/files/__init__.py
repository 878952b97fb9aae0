"""A tenant's files, independent of SSH: from the first byte of an upload to its final path."""
