"""From stored events to rows, and back when the chain forks."""
