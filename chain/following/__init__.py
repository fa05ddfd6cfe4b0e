"""From new blocks to stored events."""
