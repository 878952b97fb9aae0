"""Access to pages, the API and SFTP: tokens, sign-ins, the last use of each key, and bans."""
