"""The complete bus client, usable alone as a library, and the only room that speaks Redis.

Every change of state is one Lua script from `lua/` that also appends its event and counts it, so a task, its
record and its event move as one atom in one round trip. Start at `Bus` in `client`; key names live in `keys`.
"""
