"""The REST interface of network tasks."""
