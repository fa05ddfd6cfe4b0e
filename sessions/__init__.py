"""What a client sees: sessions, tasks, live streams, REST and WebSocket."""
