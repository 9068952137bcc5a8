"""One module a screen: each renders the current snapshot and names the commands that work on it."""
