"""Live answers: written into Redis Streams, read once a process, followed by thousands."""
