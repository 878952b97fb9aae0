"""The users of one tenant as people see them: who is who, lists, searches, histories."""
