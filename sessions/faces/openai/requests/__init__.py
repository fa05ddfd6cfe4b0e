"""Conversion of requests to `/v1` into requests to intake."""
