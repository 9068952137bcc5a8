"""The past: the room that will answer `Source` questions for a time that is not now.

It is empty on purpose: the recorder, the keyframes and the player arrive with time travel, behind the same
`Source` protocol that `live` implements, so that no screen has to change.
"""
