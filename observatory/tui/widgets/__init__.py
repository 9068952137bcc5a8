"""Widgets drawn line by line from immutable data; they keep no state of the bus and do no I/O."""
