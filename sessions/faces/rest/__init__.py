"""The published REST interface, `/api/v1`."""
