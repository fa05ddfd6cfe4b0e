"""Live answers in Redis Streams. Each process reads a stream once for all of its followers."""
