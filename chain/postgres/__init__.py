"""What PostgreSQL does between processes: wake-ups, leadership, signs of life."""
