"""ASGI and Django middleware, health probes and error pages."""
