"""The content of an installation as values that both engines read and write: to move it from one to the other."""
