"""The imports of a tenant.

`page` lists all imports, and `chart` draws the newest of them (pure). `one` shows one import and has its decisions;
`parts` reads what it shows. `files` serves the downloads of one import.
"""
