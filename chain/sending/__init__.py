"""The way of an operation from the outbox to a final transaction."""
