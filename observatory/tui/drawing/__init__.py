"""How anything is drawn: lines of styled text, styles of the theme, glyphs, numbers and ages in words.

Knows no screen, no list and no snapshot; what is drawn with it lives in `widgets/`, `rows/` and `screens/`.
"""
