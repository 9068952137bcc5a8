"""From a key to a change: what all screens do alike when something is to be changed, and where it is agreed to.

Nothing is changed here but by way of a plan that the `Actions` on the desk made and carry out.
"""
