"""From an operation in the outbox to a final transaction."""
