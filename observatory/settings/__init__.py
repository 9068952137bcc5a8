"""What the user configured: schema, loading order, paths, keymap and themes, as plain data.

Defaults, then the file, then `OBSERVATORY_*` variables, then flags; every value knows where it came from. A leaf:
it imports only `model`, and knows colours but not Textual.
"""
