"""The timeline as it is drawn: the strip below every screen of the past, and the chart of screen 7.

What moves the playhead lives in `history.player`; here is nothing but lines of cells.
"""
