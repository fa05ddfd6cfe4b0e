"""The mirror: rows that are computed from stored events, and undone when the chain forks."""
