"""The SFTP side: from a socket to a file that is complete."""
