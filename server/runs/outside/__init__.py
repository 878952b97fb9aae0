"""Hooks without Python: commands and URLs."""
