"""What is pushed: mail and tasks over sockets, facts of the log over sockets and event streams.

Every receiver has a bounded queue of its own; one that is too slow is told to resync and costs nobody else anything.
Requests and their answers live next door, in `routes`.
"""
