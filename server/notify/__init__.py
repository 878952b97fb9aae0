"""Mail, webhooks and invitations. Other packages write into the outbox; this one reads and sends it."""
