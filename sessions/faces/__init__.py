"""The interfaces for clients: REST, OpenAI's API, payment per call (x402) and WebSocket."""
