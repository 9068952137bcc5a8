"""Looking without touching: one look at everything, pages of lanes and dead letters, the event log."""
