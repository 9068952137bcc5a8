"""The full-screen app, and the only room that imports Textual.

It knows a `Source` of snapshots and an `Actions` to plan changes with, nothing else. Data flows one way, from
snapshot to screen to widget; intents flow the other, from key to command to plan. Widgets never do I/O.
"""

import os

# Textual reads it once, when it is imported: a key that arrives during a repaint waits for the next frame, so that
# frames are kept short.
os.environ.setdefault("TEXTUAL_FPS", "120")
