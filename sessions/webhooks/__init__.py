"""Webhooks: signed HTTP requests that report the end of tasks to clients."""
