"""Observatory: the operator's console for swarms of AI agents.

Everything that happens on the bus is an event; a snapshot is the fold of events up to a time; every screen
renders a snapshot; every change is a plan. The rooms of the house, lowest first: `model` (pure data), `settings`
(what the user configured), `bus` and `engine` (the only rooms that speak Redis and run a server), `live`,
`history` and `actions` (present, past and change), `edge` (ways in and out), `demo` and `bench`, `tui` (the only
room that imports Textual) and `cli` (verbs, and the place where everything is put together). Imports go down only.
"""

__version__ = "0.1.0"
"""The released version, as `observatory --version` prints it."""
