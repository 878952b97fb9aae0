"""What is said of an import: message after message, in which order, and what is said of two rows at once."""
