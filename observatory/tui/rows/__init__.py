"""One module for each kind of row that is listed: its columns, its words, and what it is filtered by.

How a table works lives in `table/`; here is only what its rows say.
"""
