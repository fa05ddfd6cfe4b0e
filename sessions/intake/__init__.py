"""Intake of a request: options, price, reservation, task number and the queued task's row."""
