"""The help: documents of docs/ as pages of the server.

`docs` is a link to the folder docs/ of the repository; an installation has its files there. `markdown` turns a
document into HTML, `book` has all documents, rendered once, and `page` answers requests.
"""
