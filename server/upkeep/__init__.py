"""What the server does as time passes, and what it counts."""
