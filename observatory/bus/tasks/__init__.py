"""The life of a task: published, taken, handled under a lease, settled."""
