"""The suites that other people wrote for SFTP, run against the real server: `make peers`."""
