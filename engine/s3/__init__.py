"""S3-compatible storage for the bytes of files, by obstore."""
