"""What is told outside: mail, webhooks, invitations. Others write into the outbox; here it is read and sent."""
