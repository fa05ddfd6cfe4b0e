"""Hostile input for a real engine, in a process of its own: `python -m tests.fuzz --help`."""
