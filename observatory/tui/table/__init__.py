"""The one table of every list: columns by priority, sort, marks, filter, and rows that come a page at a time.

`columns` lays columns out, `marks` remembers what was marked, `pages` holds the part of a long list that is loaded,
`loader` moves that part along with the cursor, `face` draws what is seen, and `widget` is what keys work on.
"""

from observatory.tui.table.columns import Cell, Column
from observatory.tui.table.loader import Loader
from observatory.tui.table.pages import Feed
from observatory.tui.table.view import View
from observatory.tui.table.widget import Table

__all__ = ["Cell", "Column", "Feed", "Loader", "Table", "View"]
