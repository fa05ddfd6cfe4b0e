"""A node's models: finds, verifies, tries, measures and loads them."""
