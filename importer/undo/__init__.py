"""The undo of one import, from its history."""
