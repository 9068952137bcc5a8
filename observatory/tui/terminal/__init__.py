"""Everything that is said to the terminal itself, or heard from it, beside Textual: bytes, signals, clipboard, bell."""
