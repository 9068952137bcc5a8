"""The gateway: HTTP, WebSocket and server-sent events for agents that do not speak Redis.

It is one more user of `Bus` and keeps nothing of its own: a ticket is the id of a message or task, what became of it
is read from the bus, and keys are kept there, so any number of gateways answer alike and a restart loses nothing.
`app` is put together here of `routes` (one request, one answer) and `push` (sockets and event streams); `server` runs
it. Web frameworks are imported here and nowhere else; what Redis is called never appears.
"""
