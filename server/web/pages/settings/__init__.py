"""The page of a tenant's settings.

`page` has the routes: show the form, save it, test it, change its tables, show the history. `meanwhile` finds what
another owner saved since the form was shown. `newest` reads the file for the examples. The rest is pure. `controls`
lists the control of each setting, with the `choices` of a file's format. `form` converts between settings and the
content of the form, `mapping` between column names and their table. `sample` makes the examples of a file. `notation`
reads and writes sizes, numbers and mappings. `items` prepares each setting for the template, and `words` writes a
value in words.
"""
