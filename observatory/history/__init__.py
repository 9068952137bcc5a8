"""The past: the room that answers `Source` questions for a time that is not now.

The event log is sealed hour by hour into Parquet (`seal`, `archive`, `segment`), read as one with what the engine
still holds (`hot`, `chronicle`), and any state in it is a keyframe and a few facts (`index`, `stretch`). Everything
about the present lives elsewhere, and nothing here changes the work of the swarm.

It needs the extra `history`; nothing else of the house imports it unless somebody asks for the past.
"""
