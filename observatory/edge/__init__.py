"""Ways in and out of the bus for those who do not speak Redis: gateways, deliveries, migrations.

The HTTP and WebSocket gateway, delivery into tmux and the migrations live here, each in its room, and use
only `bus`, `live` and `model`.
"""
