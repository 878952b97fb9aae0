"""A tenant's files in a folder of this machine: one inode a file, published by a rename."""
