"""The imports of a tenant.

`page` lists them all, `chart` draws the last of them (pure). `one` shows a single import and decides about it, with
`parts`, what there is to show of it; `files` is what can be downloaded of it.
"""
