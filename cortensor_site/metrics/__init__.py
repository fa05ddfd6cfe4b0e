"""What the router measures, for Prometheus, at `/metrics`."""
