"""Settings that would make a file fit."""
