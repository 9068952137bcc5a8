"""A simulated swarm with real incidents, on the real engine, through the real bus client, in real processes.

A director starts and kills agent processes and cuts their links by a seeded script; every process journals what
it did itself, so the books can be balanced against what the bus says.
"""
