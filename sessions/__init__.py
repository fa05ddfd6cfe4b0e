"""What a client sees: sessions, tasks, live streams, REST and WebSocket."""

VERSION = "0.1.0"
