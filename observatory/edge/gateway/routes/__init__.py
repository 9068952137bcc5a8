"""One request, one answer: mail, tasks, tickets, and how the gateway itself is.

Each module makes one router; what they share is in `common`. Sockets and event streams live next door, in `push`.
"""
