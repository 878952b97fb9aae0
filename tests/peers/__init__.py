"""Third-party SFTP test suites, run against the real server: `make peers`."""
