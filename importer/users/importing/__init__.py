"""The interface of one import to the users of a tenant: what it reads and writes, independent of the engine."""
