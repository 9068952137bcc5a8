"""Delivery into terminals: the mailboxes of agents that sit in tmux panes, typed into them one message at a time.

`panes` speaks to tmux, `carrier` brings the messages of one agent, `deliverer` finds agents and looks after all of
them. How kinds of agents look, and what may be typed to them, is said in `model.terminal`; nothing here reads
settings or prints.
"""
