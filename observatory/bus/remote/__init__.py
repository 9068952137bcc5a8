"""The same bus client over a gateway: for machines that cannot reach the engine, or should not.

`Bus.connect("http://…")` and `Bus.connect("ws://…")` lead here. Requests go by HTTP, mail and tasks come by one socket
for each agent. What only the engine itself can tell or do is refused with a `UsageError` that says so. Redis is never
spoken here.
"""
