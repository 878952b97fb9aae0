"""The users of one tenant: identifiers, lists, searches, histories and undo."""
