"""What listens, and what ties the parts together."""
