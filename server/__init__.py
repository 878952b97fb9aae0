"""The server: SFTP, HTTP, hooks and the command line, on top of the other packages."""

PART_OF = "headcount"
