"""The road from polling over HTTP: old agents go on polling, their messages move to the bus, one agent at a time.

`protocol` is what old agents speak, `upstream` asks the old server, `held` keeps what a polling agent has not
acknowledged, `bridge` carries messages between both sides, `server` listens.
"""
