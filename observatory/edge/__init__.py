"""Ways in and out of the bus for those who do not speak Redis: gateways, deliveries, migrations.

It is empty on purpose: the HTTP and WebSocket gateway, delivery into tmux and the migrations live here and use
only `bus`, `live` and `model`.
"""
