"""Takes jobs from the node's mailbox, and sends answers and signed reports through it."""
