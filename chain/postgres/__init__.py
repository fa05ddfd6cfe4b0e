"""Coordination of processes: wake-ups, locks and leadership, and signs of life.

Signs of life are kept in Redis, all else in PostgreSQL. The package also holds prepared queries.
"""
