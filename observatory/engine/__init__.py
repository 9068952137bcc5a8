"""The embedded Valkey: find the binary, start it on a data directory, hold the lock, stop it cleanly.

This room runs a server process and never speaks to the data in it; whoever wants data connects by `bus` with
the URL that a running engine gives.
"""
