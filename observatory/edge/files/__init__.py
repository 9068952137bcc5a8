"""The road from files: logs of `ROLE|TIMESTAMP|TYPE|DATA` lines, moved into a stream, followed, and written to.

`lines` is the format, `sources` finds and reads files however they were rotated, `importer` moves them, `dual` keeps
a file and a stream equal in both directions, `parity` compares the two. What was moved is remembered on the bus, in
the same atom as the move (`bus.talk.journal`), so nothing here keeps a file of its own.
"""
