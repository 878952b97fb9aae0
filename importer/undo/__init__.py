"""Undo of one import, from its history."""
