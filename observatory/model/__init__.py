"""Pure data and pure functions: what a task, an agent, an event and a snapshot *are*, and what follows from them.

Nothing here opens a socket, reads a file or asks the operating system for the time; whatever needs the time
is given a `Clock`. The outside world enters through `wire` (entries), `text` (foreign strings) and `draft` (input
from people).
"""
