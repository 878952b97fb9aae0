"""The page of a tenant's settings.

`page` has the routes: show the form, save it, try it, change its tables, show the history. `meanwhile` finds what
another owner saved since the form was shown. The rest is pure: `controls` says which control each setting has, `form`
what stands in them and what is wanted by those who send it back, `notation` how sizes, numbers and mappings are
typed, `items` what is shown of each setting, and `words` its value in words.
"""
