"""The messages of an import: their wording for pairs of rows or users, their order, their groups and their files."""
