"""Tasks that clients submit by transactions of their own, on their way into the queue."""
