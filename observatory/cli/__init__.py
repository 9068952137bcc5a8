"""The verbs of the `observatory` command, and the only place where the rooms are put together.

Each verb imports what it needs when it runs: headless verbs never import Textual. Data goes to stdout, the rest to
stderr; exit codes are 0 ok, 1 failed, 2 usage or configuration, 3 bus unreachable, 130 interrupted.
"""
