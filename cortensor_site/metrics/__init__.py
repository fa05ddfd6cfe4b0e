"""The router's metrics for Prometheus, at `/metrics`."""
